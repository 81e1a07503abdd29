"""The journal: on disk before anything leaves, complete or not there, held by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.journal import Entry, Journal
from omnilytics_flwr.errors import (
    Malformed,
)
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address

MARKET = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")


def make_entry(round_number: int = 1, **changes: object) -> Entry:
    task = TaskId(31337, MARKET, 1, round_number, bytes([round_number]) * 32)
    values: dict[str, object] = {
        "task": task,
        "peers_hash": b"\1" * 32,
        "digest": b"\2" * 32,
        "signature": b"\3" * 64,
        "open_by": 1_800_000_060,
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


def test_entry_is_found_by_a_new_process(tmp_path: Path) -> None:
    Journal(tmp_path).write(make_entry())
    code = (
        "import sys; from pathlib import Path; from omnilytics_flwr.data_owner.journal import Journal\n"
        f"entry = Journal(Path(sys.argv[1])).find(31337, {MARKET!r}, 1)\n"
        "print(entry.digest.hex(), len(entry.vector), len(entry.points))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["02" * 32, "131072", "128"]


def test_entries_come_oldest_round_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in (10, 9, 100, 1):
        journal.write(make_entry(number))
    assert [entry.task.round for entry in journal.entries()] == [1, 9, 10, 100]


def test_peer_sets_are_those_of_all_entries(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.peer_sets() == frozenset()
    for number, peers in ((1, b"a"), (2, b"a"), (3, b"b")):
        journal.write(make_entry(number, peers_hash=peers * 32))
    assert journal.peer_sets() == {b"a" * 32, b"b" * 32}


def test_emptied_entry_keeps_its_header_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(make_entry())
    journal.empty(make_entry())
    assert journal.entries() == [make_entry(points=b"", vector=b"")]
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


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in the header": lambda content: content[:40],
    "cut in the vector": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "bit of the vector": lambda content: flip(content, len(content) - 5),
    "bit of the points": lambda content: flip(content, len(content) - 131_072 - 3),
    "bit of the header": lambda content: flip(content, 100),
    "bit of the hash": lambda content: flip(content, 3),
    "no JSON": lambda content: b"x" * len(content),
    "header of another kind": lambda content: keccak256(b"[]\n").hex().encode() + b"\n[]\n",
    "header without an entry": lambda content: keccak256(b'{"chain_id": 1}\n').hex().encode() + b'\n{"chain_id": 1}\n',
    "not text": lambda content: b"\xff\xfe" + content[2:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entry_is_a_named_error(tmp_path: Path, damage: str) -> None:
    journal = Journal(tmp_path)
    journal.write(make_entry())
    path = file_of(tmp_path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    for read in (lambda: journal.find(31337, MARKET, 1), journal.entries, journal.peer_sets):
        with pytest.raises(Malformed, match="is damaged") as refusal:
            read()
        assert path.name in str(refusal.value)


def test_temporary_file_of_a_crash_is_no_entry(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(make_entry())
    (tmp_path / f"{file_of(tmp_path).stem}.999.tmp").write_bytes(b"half an en")
    assert journal.entries() == [make_entry()]


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


def test_lock_is_freed_by_an_exception(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with contextlib.suppress(ZeroDivisionError), journal.locked():
        assert not lock_is_free(tmp_path)
        raise ZeroDivisionError
    assert lock_is_free(tmp_path)
