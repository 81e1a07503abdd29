"""The journal: on disk before anything leaves, complete or not there, held by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.journal import Entry, Journal, decode_entry, encode_entry
from omnilytics_flwr.errors import Malformed
from omnilytics_flwr.market.task import TaskId
from tests.support.builders import MARKET


def make_entry(round_number: int = 1, **changes: object) -> Entry:
    task = TaskId(31337, MARKET, 1, round_number, bytes([round_number]) * 32)
    values: dict[str, object] = {
        "task": task,
        "peers_hash": b"\1" * 32,
        "masks_hash": b"\3" * 32,
        "digest": b"\2" * 32,
        "points": b"\n" * 128,
        "vector": bytes(range(256)) * 512,
    }
    return Entry(**(values | changes))  # type: ignore[arg-type]


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("*.entry")
    return path


def test_entry_is_found_by_a_new_instance(tmp_path: Path) -> None:
    Journal(tmp_path).write(make_entry())
    assert Journal(tmp_path).find(31337, MARKET, 1) == make_entry()
    assert Journal(tmp_path).find(31337, MARKET.lower(), 1) == make_entry()
    assert Journal(tmp_path).find(31337, MARKET, 2) is None
    assert Journal(tmp_path).find(1, MARKET, 1) is None


def test_entries_come_oldest_round_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in (10, 9, 100, 1):
        journal.write(make_entry(number))
    assert [entry.task.round for entry in journal.entries()] == [1, 9, 10, 100]


def test_emptied_entry_keeps_its_header_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(make_entry())
    assert journal.full_rounds(31337, MARKET) == [1]
    journal.empty(31337, MARKET, 1)
    journal.empty(31337, MARKET, 2)
    assert journal.entries() == [make_entry(points=b"", vector=b"")]
    assert journal.full_rounds(31337, MARKET) == []
    assert file_of(tmp_path).stat().st_size < 1000
    assert make_entry().vector[:64] not in file_of(tmp_path).read_bytes()


def test_files_are_the_owners_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder)
    with journal.locked():
        journal.write(make_entry())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(folder).stat().st_mode) == 0o600
    assert {path.name for path in folder.iterdir()} == {".lock", file_of(folder).name}


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
def test_damaged_entry_is_a_named_error(tmp_path: Path, damage: str) -> None:
    journal = Journal(tmp_path)
    journal.write(make_entry())
    path = file_of(tmp_path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    for read in (lambda: journal.find(31337, MARKET, 1), journal.entries):
        with pytest.raises(Malformed, match="is damaged") as refusal:
            read()
        assert path.name in str(refusal.value)


def test_temporary_file_of_a_crash_is_no_entry_and_goes_at_the_next_use(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(make_entry())
    left = tmp_path / f"{file_of(tmp_path).name}xyz.tmp"
    left.write_bytes(b"half an en")
    assert journal.entries() == [make_entry()]
    with journal.locked():
        assert not left.exists()


def test_entry_cut_anywhere_is_a_named_error(tmp_path: Path) -> None:
    """Every cut through hash, header and points, and every 997th through the vector."""
    journal = Journal(tmp_path)
    journal.write(make_entry())
    path, content = file_of(tmp_path), file_of(tmp_path).read_bytes()
    header = len(content) - 131_072
    for length in (*range(header + 1), *range(header, len(content), 997), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(Malformed, match="is damaged"):
            journal.find(31337, MARKET, 1)


def test_entry_under_the_name_of_another_round_or_market_is_a_named_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(make_entry())
    path = file_of(tmp_path)
    for name in (path.name.replace("0000000001", "0000000002"), path.name.replace("31337", "1")):
        path.rename(tmp_path / name)
        with pytest.raises(Malformed, match="it is the entry of round 1"):
            journal.entries()
        (tmp_path / name).rename(path)


def test_header_that_an_earlier_release_wrote_with_blanks_is_read(tmp_path: Path) -> None:
    assert decode_entry(with_header(encode_entry(make_entry()))) == make_entry()


KEYS = st.sampled_from(["chain_id", "market", "epoch", "round", "task_hash", "peers_hash", "masks_hash", "digest", "points_bytes"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 100), st.floats(), st.text(max_size=8), st.just("ab" * 32), st.just([]))


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner))))
def test_any_content_is_an_entry_or_a_named_error(content: object) -> None:
    """Bytes as they come, and headers of any shape under a hash that is right."""
    if not isinstance(content, bytes):
        content = hashed(json.dumps(content).encode() + b"\n" + bytes(40))
    with contextlib.suppress(Malformed):
        assert decode_entry(encode_entry(decode_entry(content))) == decode_entry(content)


def test_evaluation_is_noted_once_by_whoever_comes_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda _: Journal(tmp_path).note_evaluation(make_entry().task), range(16)))
    assert sorted(first) == [False] * 15 + [True]
    assert Journal(tmp_path).note_evaluation(make_entry(2).task)


def test_joined_epochs_are_known_by_market_and_epoch(tmp_path: Path) -> None:
    Journal(tmp_path).note_joined(31337, MARKET, 3)
    Journal(tmp_path).note_joined(31337, MARKET, 3)
    journal = Journal(tmp_path)
    assert journal.has_joined(31337, MARKET, 3)
    assert not journal.has_joined(31337, MARKET, 2)
    assert not journal.has_joined(1, MARKET, 3)
    assert journal.entries() == []


def lock_is_free(folder: Path) -> bool:
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


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
            assert not lock_is_free(tmp_path)
        finally:
            child.kill()
            child.wait()
    assert lock_is_free(tmp_path)
