"""The journal: on disk before anything leaves, complete or not there, held by one process at a time."""

from __future__ import annotations

import contextlib
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.journal import Entry, Journal, decode_entry, encode_entry
from omnilytics_flwr.errors import Malformed, Refused
from omnilytics_flwr.files import locked
from omnilytics_flwr.market.task import TaskId
from tests.support.builders import MARKET

ENTRY = Entry(
    task=TaskId(31337, MARKET, 1, 1, b"\1" * 32),
    peers_hash=b"\1" * 32,
    masks_hash=b"\3" * 32,
    digest=b"\2" * 32,
    points=b"\n" * 96,
    vector=bytes(range(256)) * 512,
    count=7,
    peer_counts={MARKET: 30},
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal with `ENTRY`."""
    (made := Journal(tmp_path)).write(ENTRY)
    return made


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("*.entry")
    return path


def test_entry_is_found_by_a_new_instance(journal: Journal, tmp_path: Path) -> None:
    again = Journal(tmp_path)
    assert again.find(31337, MARKET, 1) == again.find(31337, MARKET.lower(), 1) == ENTRY
    assert again.find(31337, MARKET, 2) is again.find(1, MARKET, 1) is None


def test_entries_come_oldest_round_first(journal: Journal) -> None:
    for number in (10, 9, 100):
        journal.write(replace(ENTRY, task=replace(ENTRY.task, round=number)))
    assert [entry.task.round for entry in journal.entries()] == [1, 9, 10, 100]


@pytest.mark.parametrize("vector_bytes", [131_072, 32])
def test_emptied_entry_keeps_its_header_only(journal: Journal, tmp_path: Path, vector_bytes: int) -> None:
    journal.write(replace(ENTRY, vector=ENTRY.vector[:vector_bytes]))
    assert journal.full_rounds(31337, MARKET) == [1]
    journal.empty(31337, MARKET, 1)
    journal.empty(31337, MARKET, 2)
    assert journal.entries() == [replace(ENTRY, points=b"", vector=b"")]
    assert journal.full_rounds(31337, MARKET) == []
    assert file_of(tmp_path).stat().st_size < 1000


def test_files_are_the_owners_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder)
    with journal.locked():
        journal.write(ENTRY)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {".lock": 0o600, file_of(folder).name: 0o600}


def decoded(content: bytes) -> Entry:
    return decode_entry(BytesIO(content))


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def hashed(rest: bytes) -> bytes:
    return keccak256(rest).hex().encode() + b"\n" + rest


def with_header(content: bytes, **changes: object) -> bytes:
    """An entry whose header is changed, under a hash that is right."""
    _, header, body = content.split(b"\n", 2)
    return hashed(json.dumps(json.loads(header) | changes).encode() + b"\n" + body)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "longer": lambda content: content + b"\0",
    "bit of the vector": lambda content: flip(content, len(content) - 5),
    "bit of the points": lambda content: flip(content, len(content) - 131_072 - 3),
    "bit of the header": lambda content: flip(content, 100),
    "bit of the hash": lambda content: flip(content, 3),
    "no JSON": lambda content: hashed(b"x\n"),
    "header of another kind": lambda content: hashed(b"[]\n"),
    "header without an entry": lambda content: hashed(b'{"chain_id": 1}\n'),
    "unknown fact": lambda content: with_header(content, colour=1),
    "negative epoch": lambda content: with_header(content, epoch=-1),
    "round that is true": lambda content: with_header(content, round=True),
    "short hash": lambda content: with_header(content, digest="ab" * 31),
    "hash in capitals": lambda content: with_header(content, digest="AB" * 32),
    "hash with a line's end": lambda content: with_header(content, digest="ab" * 31 + "a\n"),
    "more points than bytes": lambda content: with_header(content, points_bytes=131_072 + 129),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entry_is_a_named_error(journal: Journal, tmp_path: Path, damage: str) -> None:
    path = file_of(tmp_path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    for read in (lambda: journal.find(31337, MARKET, 1), journal.entries):
        with pytest.raises(Malformed, match=f"{path.name} is damaged"):
            read()


def test_temporary_file_of_a_crash_is_no_entry_and_goes_at_the_next_use(journal: Journal, tmp_path: Path) -> None:
    left = tmp_path / f"{file_of(tmp_path).name}xyz.tmp"
    left.write_bytes(b"half an en")
    assert journal.entries() == [ENTRY]
    with journal.locked():
        assert not left.exists()


def test_entry_cut_anywhere_is_a_named_error() -> None:
    """Every cut through hash, header and points, and every 997th through the vector."""
    content = b"".join(encode_entry(ENTRY))
    header = len(content) - 131_072
    for length in (*range(header + 1), *range(header, len(content), 997), len(content) - 1):
        with pytest.raises(Malformed):
            decoded(content[:length])


@pytest.mark.parametrize(("part", "other"), [("0000000001", "0000000002"), ("31337", "1")])
def test_entry_under_the_name_of_another_round_or_market_is_a_named_error(journal: Journal, tmp_path: Path, part: str, other: str) -> None:
    path = file_of(tmp_path)
    path.rename(tmp_path / path.name.replace(part, other))
    with pytest.raises(Malformed, match="it is the entry of round 1"):
        journal.entries()


def test_header_that_an_earlier_release_wrote_with_blanks_is_read() -> None:
    assert decoded(with_header(b"".join(encode_entry(ENTRY)))) == ENTRY


KEYS = st.sampled_from(
    ["chain_id", "market", "epoch", "round", "task_hash", "peers_hash", "masks_hash", "digest", "points_bytes", "count", "peer_counts"]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 100), st.floats(), st.text(max_size=8), st.just("ab" * 32), st.just([]))


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=400), st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner))))
def test_any_content_is_an_entry_or_a_named_error(content: object) -> None:
    """Bytes as they come, and headers of any shape under a hash that is right."""
    if not isinstance(content, bytes):
        content = hashed(json.dumps(content).encode() + b"\n" + bytes(40))
    with contextlib.suppress(Malformed):
        assert decoded(b"".join(encode_entry(decoded(content)))) == decoded(content)


def test_evaluation_is_noted_once_by_whoever_comes_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda _: Journal(tmp_path).note_evaluation(ENTRY.task), range(16)))
    assert sorted(first) == [False] * 15 + [True]
    assert Journal(tmp_path).note_evaluation(replace(ENTRY.task, round=2))


def test_joined_epochs_are_known_by_market_and_epoch(tmp_path: Path) -> None:
    for _ in range(2):
        Journal(tmp_path).note_joined(31337, MARKET, 3, 1200)
        Journal(tmp_path).note_joined(31337, MARKET, 3, 0)
    journal = Journal(tmp_path)
    assert [journal.joined_with(*joined) for joined in ((31337, MARKET, 3), (31337, MARKET, 2), (1, MARKET, 3))] == [
        {0, 1200},
        set(),
        set(),
    ]
    assert journal.entries() == []


def test_lock_holds_against_another_process_and_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from omnilytics_flwr.data_owner.journal import Journal\n"
        "with Journal(Path(sys.argv[1])).locked():\n"
        "    print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "held\n"
            with pytest.raises(Refused), locked(tmp_path / ".lock", if_held=Refused("held")):
                pass
        finally:
            child.kill()
            child.wait()
    with locked(tmp_path / ".lock", if_held=Refused("held")):
        pass


def test_home_waits_for_another_with_its_data_set_only_to_count(tmp_path: Path) -> None:
    """Else a vector that one home reads would hold up an answer of the other."""
    one, other = (Journal(tmp_path / name, tmp_path / "data") for name in ("one", "other"))
    with one.locked(counting=True), other.locked():
        assert not other.entries()


def test_damaged_note_of_joining_is_told_by_name(journal: Journal, tmp_path: Path) -> None:
    journal.note_joined(31337, MARKET, 3, 1200)
    (note,) = tmp_path.glob("*.joined")
    note.write_bytes(b"12x\xff")
    with pytest.raises(Malformed, match=f"journal note {note.name} is damaged"):
        journal.joined_with(31337, MARKET, 3)
