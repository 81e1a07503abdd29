"""One commitment as it lies in the journal: the Keccak-256 of the rest, a JSON header, the commitments, the masked vector."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..crypto.hashing import keccak256
from ..errors import Malformed
from ..market.task import TaskId

_KEYS = ("chain_id", "market", "epoch", "round", "task_hash", "peers_hash", "masks_hash", "digest", "points_bytes")


@dataclass(frozen=True, slots=True)
class Entry:
    """One commitment.

    Attributes
    ----------
    task : TaskId
    peers_hash : bytes, length 32
        The data owners with whom the masks cancel, whatever their keys.
    masks_hash : bytes, length 32
        What the masks were made from: the draw's seed, and the peers with their keys.
    digest : bytes, length 32
    points, vector : bytes
        Empty once the entry is emptied.
    """

    task: TaskId
    peers_hash: bytes
    masks_hash: bytes
    digest: bytes
    points: bytes
    vector: bytes

    def emptied(self) -> Entry:
        """The entry without what must not be kept."""
        return Entry(self.task, self.peers_hash, self.masks_hash, self.digest, b"", b"")


def encode_entry(entry: Entry) -> bytes:
    """Content of an entry's file."""
    task = entry.task
    hashes = (task.task_hash, entry.peers_hash, entry.masks_hash, entry.digest)
    values = (task.chain_id, task.market, task.epoch, task.round, *(value.hex() for value in hashes), len(entry.points))
    rest = json.dumps(dict(zip(_KEYS, values, strict=True))).encode() + b"\n" + entry.points + entry.vector
    return keccak256(rest).hex().encode() + b"\n" + rest


def decode_entry(content: bytes) -> Entry:
    """Entry of a file's content; raises `Malformed` for anything but what `encode_entry` makes."""
    check, _, rest = content.partition(b"\n")
    header, _, body = rest.partition(b"\n")
    try:
        if check != keccak256(rest).hex().encode():
            raise ValueError("its hash is not that of its content")
        facts = json.loads(header)
        chain_id, epoch, number, cut = (_number(facts[key]) for key in ("chain_id", "epoch", "round", "points_bytes"))
        task_hash, peers, masks, digest = (_hash(facts[key]) for key in ("task_hash", "peers_hash", "masks_hash", "digest"))
        entry = Entry(TaskId(chain_id, str(facts["market"]), epoch, number, task_hash), peers, masks, digest, body[:cut], body[cut:])
        if encode_entry(entry) != content:
            raise ValueError("it is not written as an entry is")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
    return entry


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no number from 0 up")
    return value


def _hash(value: object) -> bytes:
    raw = bytes.fromhex(str(value))
    if len(raw) != 32:
        raise ValueError(f"{value!r} is no hash")
    return raw
