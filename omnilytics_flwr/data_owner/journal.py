"""The journal: what a data owner committed, on disk before anything leaves, so that a mask is used once.

One file a round: a line with the Keccak-256 of the rest, a line with a JSON header, the commitments and the masked vector. An entry
is written to a temporary file, synced, renamed, and the folder synced; entries whose vector may be needed no more are emptied of it,
but the header stays: it is what refuses a second commitment in the same round.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..crypto.hashing import keccak256
from ..errors import Malformed
from ..market.task import TaskId

_HEADER_KEYS = ("chain_id", "market", "epoch", "round", "task_hash", "peers_hash", "digest", "signature", "open_by", "points_bytes")


@dataclass(frozen=True, slots=True)
class Entry:
    """One commitment.

    Attributes
    ----------
    task : TaskId
    peers_hash : bytes, length 32
        The peers with whom the masks cancel.
    digest : bytes, length 32
    signature : bytes, length 64
    open_by : int
        Unix seconds after which the signature is dead.
    points, vector : bytes
        Empty once the entry is emptied.
    """

    task: TaskId
    peers_hash: bytes
    digest: bytes
    signature: bytes
    open_by: int
    points: bytes
    vector: bytes


class Journal:
    """The journal in a folder, shared safely by processes.

    Parameters
    ----------
    folder : Path
        Made if missing, readable by its owner only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the journal against other processes."""
        with open(self._folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def find(self, chain_id: int, market: str, round_number: int) -> Entry | None:
        """The entry of a round, or None; raises `Malformed` for a damaged file."""
        path = self._path(chain_id, market, round_number)
        return _decode(path) if path.exists() else None

    def entries(self) -> list[Entry]:
        """All entries, oldest round first."""
        return [_decode(path) for path in sorted(self._folder.glob("*.entry"))]

    def write(self, entry: Entry) -> None:
        """Write and sync; returns only when the entry would survive a power cut."""
        path = self._path(entry.task.chain_id, entry.task.market, entry.task.round)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(_encode(entry))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def note_evaluation(self, task: TaskId) -> bool:
        """Note that a round's task is evaluated; False if it was before."""
        path = self._path(task.chain_id, task.market, task.round).with_suffix(".evaluated")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        return True

    def empty(self, entry: Entry) -> None:
        """Forget vector and commitments of a round that is over; its header stays."""
        if entry.vector:
            self.write(Entry(entry.task, entry.peers_hash, entry.digest, entry.signature, entry.open_by, b"", b""))

    def peer_sets(self) -> frozenset[bytes]:
        """Hashes of all the groups in which this data owner ever committed."""
        return frozenset(entry.peers_hash for entry in self.entries())

    def _path(self, chain_id: int, market: str, round_number: int) -> Path:
        return self._folder / f"{chain_id}-{market.lower()}-{round_number:010d}.entry"


def _encode(entry: Entry) -> bytes:
    task = entry.task
    values = (
        task.chain_id,
        task.market,
        task.epoch,
        task.round,
        task.task_hash.hex(),
        entry.peers_hash.hex(),
        entry.digest.hex(),
        entry.signature.hex(),
        entry.open_by,
        len(entry.points),
    )
    rest = json.dumps(dict(zip(_HEADER_KEYS, values, strict=True))).encode() + b"\n" + entry.points + entry.vector
    return keccak256(rest).hex().encode() + b"\n" + rest


def _decode(path: Path) -> Entry:
    check, _, rest = path.read_bytes().partition(b"\n")
    header, _, body = rest.partition(b"\n")
    try:
        if check != keccak256(rest).hex().encode():
            raise ValueError("its hash is not that of its content")
        facts = json.loads(header)
        task = TaskId(
            int(facts["chain_id"]), str(facts["market"]), int(facts["epoch"]), int(facts["round"]), bytes.fromhex(facts["task_hash"])
        )
        cut = int(facts["points_bytes"])
        hashes = [bytes.fromhex(facts[key]) for key in ("peers_hash", "digest", "signature")]
        return Entry(task, hashes[0], hashes[1], hashes[2], int(facts["open_by"]), body[:cut], body[cut:])
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(
            f"journal entry {path} is damaged ({error}); expected it as it was written, for without it a mask could be used twice: "
            "leave it where it is, and join the next epoch from a new owner home"
        ) from error
