"""The journal: puts what a data owner committed on disk before anything leaves, so that a mask is used only once.

One file a round. An entry loses its vector when nobody needs that any more, but keeps its header, which rules out a second commitment in
the same round. The journal also notes the epochs that were joined with it, and the rounds that were evaluated.

A file's first line is the Keccak-256 of the rest, in hexadecimal; its second line is a header in JSON; then come commitments and masked
vector.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from ..crypto.hashing import keccak256
from ..decoding import Count, HexHash, decode_json
from ..errors import Malformed, Refused
from ..files import create_file, locked, make_folder, remove_leftovers, write_file
from ..market.task import TaskId
from ..market.terms import Address

_HexPoint = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{192}$", max_length=192)]


@dataclass(frozen=True, slots=True)
class Entry:
    """One commitment.

    Attributes
    ----------
    peers_hash : bytes, length 32
        The data owners with whom the masks cancel, whatever their keys.
    masks_hash : bytes, length 32
        What the masks were made from: the draw's seed, and the peers with their keys.
    points, vector : bytes
        Empty once the entry is emptied.
    count : int
        What the data owner counted (`omnilytics_flwr.market.examples`).
    peer_counts : dict of Address to int
        What each other member of its group did.
    projected : tuple of pairs of bytes (default: none)
        In a projected market: roster's hash, and the point of the vector's projection for it, 96 bytes.
    """

    task: TaskId
    peers_hash: bytes
    masks_hash: bytes
    digest: bytes
    points: bytes
    vector: bytes
    count: int
    peer_counts: dict[Address, int]
    projected: tuple[tuple[bytes, bytes], ...] = ()


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    chain_id: Count
    market: Address
    epoch: Count
    round: Count
    task_hash: HexHash
    peers_hash: HexHash
    masks_hash: HexHash
    digest: HexHash
    points_bytes: Count
    count: Count
    peer_counts: dict[Address, Count]
    projected: tuple[tuple[HexHash, _HexPoint], ...]


def encode_entry(entry: Entry) -> tuple[bytes, ...]:
    """Content of an entry's file, in parts: a vector is not copied."""
    task = entry.task
    header = _Header(
        chain_id=task.chain_id,
        market=task.market,
        epoch=task.epoch,
        round=task.round,
        task_hash=task.task_hash.hex(),
        peers_hash=entry.peers_hash.hex(),
        masks_hash=entry.masks_hash.hex(),
        digest=entry.digest.hex(),
        points_bytes=len(entry.points),
        count=entry.count,
        peer_counts=entry.peer_counts,
        projected=tuple((roster.hex(), point.hex()) for roster, point in entry.projected),
    )
    parts = (msgspec.json.encode(header) + b"\n", entry.points, entry.vector)
    return keccak256(*parts).hex().encode() + b"\n", *parts


def decode_entry(file: BinaryIO) -> Entry:
    """Entry of an open file; raises `Malformed` for anything but what `encode_entry` makes."""
    check, line, body = file.readline(), file.readline(), file.read()
    if check != keccak256(line, body).hex().encode() + b"\n":
        raise Malformed("its hash is not that of its content")
    header = decode_json(line, _Header)
    if header.points_bytes > len(body):
        raise Malformed(f"it ends {header.points_bytes - len(body)} bytes early")
    return Entry(
        task=TaskId(header.chain_id, header.market, header.epoch, header.round, bytes.fromhex(header.task_hash)),
        peers_hash=bytes.fromhex(header.peers_hash),
        masks_hash=bytes.fromhex(header.masks_hash),
        digest=bytes.fromhex(header.digest),
        points=body[: header.points_bytes],
        vector=body[header.points_bytes :],
        count=header.count,
        peer_counts=header.peer_counts,
        projected=tuple((bytes.fromhex(roster), bytes.fromhex(point)) for roster, point in header.projected),
    )


class Journal:
    """The journal in a folder, shared safely by processes; the folder is made if missing, readable by its owner only.

    Parameters
    ----------
    data_set : Path, optional
        Folder in which the journals of all homes with one data set note with whom it was summed up; made if missing.
    """

    def __init__(self, folder: Path, data_set: Path | None = None) -> None:
        self._folder, self._data_set = folder, data_set
        for made in (folder, *([] if data_set is None else [data_set])):
            make_folder(made)

    @contextmanager
    def locked(self, *, counting: bool = False) -> Iterator[None]:
        """Hold the journal against other threads and processes; what a crash left half written is deleted.

        Parameters
        ----------
        counting : bool (default: False)
            Homes with one data set wait for each other too: the groups that are counted are still the same ones when one more is noted.
        """
        with ExitStack() as stack:
            for folder in (self._folder, *([self._data_set] if counting and self._data_set is not None else [])):
                stack.enter_context(locked(folder / ".lock"))
                remove_leftovers(folder)
            yield

    def check_room(self, needed_bytes: int) -> None:
        """Raise `Refused` unless the disk has so much room: what is trained for a vector that it does not take is lost."""
        free = shutil.disk_usage(self._folder).free
        if free < needed_bytes:
            raise Refused(
                f"the disk of the owner home has too little room: a round may take {needed_bytes / 1e6:,.0f} MB; free some, or move the home"
            )

    def find(self, chain_id: int, market: str, round_number: int) -> Entry | None:
        """The entry of a round, or None; raises `Malformed` for a damaged file."""
        path = self._path(chain_id, market, round_number)
        return self._read(path) if path.exists() else None

    def entries(self) -> list[Entry]:
        """All entries, oldest round first; raises `Malformed` for a damaged file."""
        return [self._read(path) for path in sorted(self._folder.glob("*.entry"))]

    def peer_sets(self, entries: Iterable[Entry]) -> set[bytes]:
        """Hashes of all groups whose sums this data set is in, by this journal's `entries` and the journals that share its data set."""
        shared = [] if self._data_set is None else self._data_set.glob("*.peers")
        return {entry.peers_hash for entry in entries} | {bytes.fromhex(path.stem) for path in shared}

    def counts(self, entries: Iterable[Entry]) -> set[tuple[str, int]]:
        """What this data set (as ``""``) and the peers that it was summed with (by address) counted in any commitment, by this journal's
        `entries` and the journals that share its data set.
        """
        shared = [] if self._data_set is None else self._data_set.glob("*.count")
        named = (path.stem.rpartition("-") for path in shared)
        return {pair for entry in entries for pair in _counted(entry)} | {(who, int(count)) for who, _, count in named if count.isdigit()}

    def write(self, entry: Entry) -> None:
        """Write and sync; returns when the entry would survive a power cut."""
        task = entry.task
        if self._data_set is not None:
            create_file(self._data_set / f"{entry.peers_hash.hex()}.peers", b"")
            for who, count in _counted(entry):
                create_file(self._data_set / f"{who}-{count}.count", b"")
        parts = encode_entry(entry)
        write_file(self._path(task.chain_id, task.market, task.round), lambda file: file.writelines(parts))

    def full_rounds(self, chain_id: int, market: str) -> list[int]:
        """Rounds of a market whose vectors are still here, oldest first."""
        paths = sorted(self._folder.glob(f"{chain_id}-{market.lower()}-*.entry"))
        return [int(path.stem.rsplit("-", 1)[1]) for path in paths if _goes_on(path)]

    def empty(self, chain_id: int, market: str, round_number: int) -> None:
        """Forget vector and commitments of a round that is over; its header stays."""
        entry = self.find(chain_id, market, round_number)
        if entry is not None and entry.vector:
            self.write(replace(entry, points=b"", vector=b"", projected=()))

    def note_evaluation(self, task: TaskId) -> bool:
        """Note that a round's task is evaluated; False if it was before."""
        return create_file(self._path(task.chain_id, task.market, task.round).with_suffix(".evaluated"), b"")

    def note_joined(self, chain_id: int, market: str, epoch: int, examples: int) -> None:
        """Note that an epoch is joined with this journal, and how many examples are stated."""
        stated = " ".join(map(str, sorted({*self.joined_with(chain_id, market, epoch), examples})))
        write_file(self._path(chain_id, market, epoch).with_suffix(".joined"), stated.encode())

    def joined_with(self, chain_id: int, market: str, epoch: int) -> set[int]:
        """Every number of examples that was stated for an epoch with this journal: one that is sent need not be mined, or in time.

        Empty if the epoch was not joined with it: the journal may have been lost, and with it what it refuses.
        """
        path = self._path(chain_id, market, epoch).with_suffix(".joined")
        try:
            return set(map(int, path.read_bytes().split())) if path.exists() else set()
        except ValueError as error:
            raise Malformed(f"journal note {path.name} is damaged ({error}); leave it where it is, and join the next epoch") from error

    def _path(self, chain_id: int, market: str, number: int) -> Path:
        return self._folder / f"{chain_id}-{market.lower()}-{number:010d}.entry"

    def _read(self, path: Path) -> Entry:
        try:
            with path.open("rb") as file:
                entry = decode_entry(file)
            task = entry.task
            if path != self._path(task.chain_id, task.market, task.round):
                raise Malformed(f"it is the entry of round {task.round} of market {task.market}")
        except Malformed as error:
            raise Malformed(
                f"journal entry {path.name} is damaged ({error}); without it a mask could be used twice: "
                "leave it where it is, and join the next epoch from a new owner home"
            ) from error
        return entry


def _counted(entry: Entry) -> set[tuple[str, int]]:
    return {("", entry.count), *entry.peer_counts.items()}


def _goes_on(path: Path) -> bool:
    """Whether anything follows a file's header: its length alone says nothing, since vectors of different schemes differ in theirs."""
    with path.open("rb") as file:
        file.readline()
        file.readline()
        return bool(file.read(1))
