"""Messages between a Flower client and the owner agent's process, and the one door through which they are decoded.

A message is a *frame*: the lengths of header and body (4 bytes each, big-endian), a JSON header, and a body of raw bytes. A request is a
frame after the 32 bytes of the home's token; the reply is a frame. Nothing is read that is longer than these bounds.

=========== ======================================================= ====================================
kind        header                                                  body
=========== ======================================================= ====================================
admit       task                                                    none
evaluate    task                                                    none
commit      task                                                    update, float64, little-endian
deliver     chain, market, epoch, round                             digests of the roster, 32 bytes each
admission   metrics; owner, digest, signature if there is one       none
metrics     metrics                                                 none
commitment  owner, digest, signature                                none
delivery    owner, metrics, length of the points                    points, then vector
error       class, its facts, its text                              none
=========== ======================================================= ====================================
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ..crypto.address import checksummed
from ..errors import Malformed, OmnilyticsError, WrongLength
from ..market.task import TaskId
from .failures import error_fields, error_of
from .owner_agent import Admission, Delivery, SignedCommitment

if TYPE_CHECKING:
    from ..market.terms import Address

VERSION = 1
TOKEN_BYTES = 32
LENGTHS_BYTES = 8
MOST_HEADER_BYTES = 64 * 1024
MOST_REQUEST_BYTES = 8 * 2**22
"""The largest update."""
MOST_REPLY_BYTES = (131_072 + 128) * 512
"""Vector and points of the largest update."""

Update = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Asks to admit a task (``admit``), or its evaluation (``evaluate``)."""

    kind: str
    task: TaskId


@dataclass(frozen=True, slots=True, eq=False)
class CommitRequest:
    """Asks to commit an update."""

    task: TaskId
    update: Update


@dataclass(frozen=True, slots=True)
class DeliverRequest:
    """Asks for the vector of an open round."""

    chain_id: int
    market: Address
    epoch: int
    round: int
    digests: tuple[bytes, ...]


Request = TaskRequest | CommitRequest | DeliverRequest
Reply = Admission | tuple[str, ...] | SignedCommitment | Delivery | OmnilyticsError


def encode_request(request: Request) -> bytes:
    """Frame of a request, without the token."""
    if isinstance(request, DeliverRequest):
        named = {"chain": request.chain_id, "market": request.market, "epoch": request.epoch, "round": request.round}
        return _frame("deliver", named, b"".join(request.digests))
    task = request.task
    named = {"chain": task.chain_id, "market": task.market, "epoch": task.epoch, "round": task.round, "task": task.task_hash.hex()}
    if isinstance(request, TaskRequest):
        return _frame(request.kind, named, b"")
    return _frame("commit", named, np.ascontiguousarray(request.update, dtype="<f8").tobytes())


def encode_reply(reply: Reply) -> bytes:
    """Frame of a reply."""
    match reply:
        case OmnilyticsError():
            return _frame("error", error_fields(reply), b"")
        case Admission():
            return _frame("admission", {"metrics": reply.metrics} | _commitment_fields(reply.commitment), b"")
        case SignedCommitment():
            return _frame("commitment", _commitment_fields(reply), b"")
        case Delivery():
            named = {"owner": reply.owner, "metrics": reply.metrics, "points": len(reply.points)}
            return _frame("delivery", named, reply.points + reply.vector)
    return _frame("metrics", {"metrics": reply}, b"")


def frame_lengths(raw: bytes, most_body: int) -> tuple[int, int]:
    """Lengths of header and body from a frame's first 8 bytes; raises `Malformed` if they are out of bounds."""
    header, body = struct.unpack(">II", raw)
    if header > MOST_HEADER_BYTES or body > most_body:
        raise Malformed(f"a message has {header} and {body} bytes, expected at most {MOST_HEADER_BYTES} and {most_body}; use one release")
    return header, body


def decode_request(header: bytes, body: bytes) -> Request:
    """Decode untrusted; raises `Malformed` or `WrongLength`."""
    kind, fields = _open(header)
    place = (fields.number("chain"), fields.address("market"), fields.number("epoch"), fields.number("round"))
    if kind == "deliver":
        if len(body) % 32:
            raise WrongLength("digests", len(body), len(body) // 32 * 32)
        return DeliverRequest(*place, tuple(body[i : i + 32] for i in range(0, len(body), 32)))
    task = TaskId(*place, fields.bytes("task", 32))
    if kind == "commit":
        if len(body) % 8:
            raise WrongLength("an update", len(body), len(body) // 8 * 8)
        return CommitRequest(task, np.frombuffer(body, dtype="<f8").astype(np.float64))
    if kind not in ("admit", "evaluate") or body:
        raise Malformed(f"a request is of kind {kind!r} with {len(body)} bytes; use the same release on both sides")
    return TaskRequest(kind, task)


def decode_reply(header: bytes, body: bytes) -> Reply:
    """Decode untrusted; raises `Malformed` or `WrongLength`."""
    kind, fields = _open(header)
    if kind == "delivery":
        cut = fields.number("points")
        if cut > len(body):
            raise WrongLength("a delivery", len(body), cut)
        return Delivery(fields.address("owner"), body[cut:], body[:cut], fields.names("metrics"))
    if body:
        raise Malformed(f"a reply of kind {kind!r} has {len(body)} bytes after its header, expected none; use one release")
    if kind == "error":
        return error_of(fields.text("class"), fields.items("facts"), fields.text("text"))
    if kind == "metrics":
        return fields.names("metrics")
    if kind == "commitment":
        return _commitment(fields)
    if kind != "admission":
        raise Malformed(f"a reply is of kind {kind!r}; use the same release on both sides")
    return Admission(fields.names("metrics"), _commitment(fields) if "owner" in fields.named else None)


def _frame(kind: str, named: Mapping[str, object], body: bytes) -> bytes:
    header = json.dumps({"version": VERSION, "kind": kind, **named}).encode()
    return struct.pack(">II", len(header), len(body)) + header + body


def _commitment_fields(commitment: SignedCommitment | None) -> dict[str, object]:
    if commitment is None:
        return {}
    return {"owner": commitment.owner, "digest": commitment.digest.hex(), "signature": commitment.signature.hex()}


def _commitment(fields: _Fields) -> SignedCommitment:
    return SignedCommitment(fields.address("owner"), fields.bytes("digest", 32), fields.bytes("signature", 64))


def _open(header: bytes) -> tuple[str, _Fields]:
    try:
        named = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a message's header is no JSON ({error}); use the same release on both sides") from error
    if not isinstance(named, dict) or named.get("version") != VERSION:
        raise Malformed(f"a message is not of version {VERSION}; use the same release on both sides")
    fields = _Fields(named)
    return fields.text("kind"), fields


@dataclass(frozen=True, slots=True)
class _Fields:
    """A header's entries; every method raises `Malformed` for one that is not what it must be."""

    named: dict[str, object]

    def number(self, key: str) -> int:
        value = self.named.get(key)
        if type(value) is not int or not 0 <= value < 1 << 64:
            raise self._wrong(key, "a number of 64 bits")
        return value

    def text(self, key: str) -> str:
        value = self.named.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def items(self, key: str) -> list[object]:
        value = self.named.get(key)
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        items = self.items(key)
        if not all(isinstance(item, str) for item in items):
            raise self._wrong(key, "a list of names")
        return tuple(cast("list[str]", items))

    def bytes(self, key: str, length: int) -> bytes:
        text = self.text(key)
        if not re.fullmatch(f"[0-9a-f]{{{2 * length}}}", text):
            raise self._wrong(key, f"{length} bytes in hexadecimal")
        return bytes.fromhex(text)

    def address(self, key: str) -> Address:
        text = self.text(key)
        if not re.fullmatch("0x[0-9a-fA-F]{40}", text) or text != checksummed(text[2:].lower()):
            raise self._wrong(key, "an address with its checksum")
        return cast("Address", text)

    def _wrong(self, key: str, expected: str) -> Malformed:
        return Malformed(f"field {key!r} of a message is not {expected}; use the same release on both sides")
