"""All our messages: the key of their record, their fields, and the one place where they are decoded.

Exchanges travel as Flower's TRAIN and EVALUATE messages; a `ConfigRecord` under `RECORD` tells them apart.
docs/specification/wire.md lists the fields with units and bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self, TypeVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from ..crypto.address import parse_address
from ..errors import Malformed, WrongLength
from ..market.task import arrays_hash, config_hash, named_config_hash
from ..market.terms import Address

FUNCTION_FAILED = "the data owner's own function failed; its log says why"
"""All that leaves a data owner of an error of its app."""
CHAIN_FAILED = "the data owner's node or wallet fails it; its log says how"
"""All that leaves it, after the error's class, of an error of its chain."""

RECORD = "omnilytics"
VERSION = 3

PIECE_BYTES, MOST_PIECES = 2**20, 16
"""Of a vector: a piece is as short as this, unless there were more than so many pieces."""

T = TypeVar("T", bool, int, str, bytes)


class Exchange(StrEnum):
    """What a message asks for."""

    TRAIN = "train"
    DELIVER = "deliver"
    EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True)
class WireMessage:
    """A message whose fields travel under their own names, with dashes; `_READERS` decodes them."""

    def to_record(self) -> ConfigRecord:
        """Encode."""
        values = {one.name.replace("_", "-"): getattr(self, one.name) for one in fields(self)}
        return ConfigRecord({"version": VERSION, **{key: _plain(value) for key, value in values.items()}})

    @classmethod
    def from_record(cls, record: ConfigRecord) -> Self:
        """Decode untrusted; vector and points are left to whoever knows the terms.

        Raises
        ------
        Malformed
            Another version, a field missing, of another type or below zero, or no address.
        WrongLength
            A hash or signature of another length.
        """
        _check_version(record)
        return cls(**{one.name: _READERS[one.name](record, one.name.replace("_", "-")) for one in fields(cls) if one.init})


@dataclass(frozen=True, slots=True)
class TaskHeader(WireMessage):
    """Asks to train or evaluate an anchored task.

    `other_config_hash` is the hash of the configuration that does not travel in this message: of the evaluate
    configuration in a train message, of the train configuration in an evaluate message.
    """

    exchange: Exchange
    chain_id: int
    market: Address
    epoch: int
    round: int
    other_config_hash: bytes


@dataclass(frozen=True, slots=True)
class CommitReply(WireMessage):
    """A data owner's digest and its compact EIP-712 signature (EIP-2098, 64 bytes)."""

    owner: Address
    digest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class DeliverRequest(WireMessage):
    """Asks for the vector of an opened round; `digests` is the roster in order, which hashes to what is on chain."""

    exchange: Exchange = field(default=Exchange.DELIVER, init=False)
    chain_id: int
    market: Address
    epoch: int
    round: int
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DeliverReply(WireMessage):
    """A data owner's masked vector (canonical 32-byte elements) and its commitments (96 bytes each; none if its hash commits to it).

    In a projected market its projected point and the signature of that point's digest come with it, and are empty in an exact one.
    The vector travels in pieces, each in a record of its own: Flower moves record by record, and holds each about seven times meanwhile.
    """

    owner: Address
    vector: bytes
    points: bytes
    projected: bytes
    signature: bytes

    def to_content(self) -> RecordDict:
        """Encode: our record with the first piece, and a record for each further one."""
        size = max(PIECE_BYTES, -(-len(self.vector) // MOST_PIECES))
        first, *further = [self.vector[start : start + size] for start in range(0, len(self.vector), size)] or [b""]
        content = RecordDict({RECORD: replace(self, vector=first).to_record()})
        for place, piece in enumerate(further, 1):
            content[f"{RECORD}-{place}"] = ConfigRecord({"vector": piece})
        return content

    @classmethod
    def from_content(cls, content: RecordDict) -> Self:
        """Decode as `from_record` does, and take what is decoded out of `content`: a vector is large."""
        first = cls.from_record(our_record(content))
        del content[RECORD]
        pieces = [first.vector]
        while (record := content.config_records.get(key := f"{RECORD}-{len(pieces)}")) is not None:
            pieces.append(_field(record, "vector", bytes))
            del content[key]
        return replace(first, vector=b"".join(pieces))


def exchange_of(record: ConfigRecord) -> Exchange:
    """Which exchange a request belongs to; raises `Malformed`."""
    _check_version(record)
    return _exchange(record, "exchange")


def our_record(content: RecordDict) -> ConfigRecord:
    """Our record of a message; raises `Malformed` if there is none."""
    record = content.config_records.get(RECORD)
    if record is None:
        raise Malformed(
            f"the message has no {RECORD!r} record; a market's server wraps its strategy in Omnilytics, and its "
            "client app runs with omnilytics_mod; add what is missing"
        )
    return record


def named_arrays(record: ArrayRecord) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Names and arrays of a record, in order; raises `Malformed` for an array that does not decode."""
    for name, array in record.items():
        try:
            yield name, array.numpy()
        except Exception as error:  # whatever numpy raises for bytes that are no array
            raise Malformed(f"array {name!r} does not decode: {error}; send arrays that numpy can load") from error


def hash_of_arrays(record: ArrayRecord) -> bytes:
    """Hash of a model in a task, 32 bytes; raises `Malformed`."""
    return arrays_hash(named_arrays(record))


def hash_of_config(record: ConfigRecord) -> bytes:
    """Hash of a configuration in a task, 32 bytes; raises `Malformed`."""
    return config_hash(dict(record.items()))


def hash_of_task_config(content: RecordDict | None) -> bytes:
    """Hash of the configuration that a message holds beside our record, with the names of its records; raises `Malformed`."""
    content = RecordDict() if content is None else content
    name = next((key for key in content.config_records if key != RECORD), "")
    config = dict(content.config_records[name].items()) if name else {}
    return named_config_hash(config, name=name, arrays_name=next(iter(content.array_records), ""))


def _plain(value: Any) -> Any:
    """A field as a ConfigRecord takes it."""
    if isinstance(value, tuple):
        return b"".join(value)
    return value.value if isinstance(value, Exchange) else value


def _check_version(record: ConfigRecord) -> None:
    version = record.get("version")
    if type(version) is not int or version != VERSION:
        raise Malformed(f"message version {version!r}, expected {VERSION}; use the same release on both sides")


def _field(record: ConfigRecord, key: str, kind: type[T]) -> T:
    value = record.get(key)
    if type(value) is not kind:
        raise Malformed(f"field {key!r} is {type(value).__name__}, expected {kind.__name__}")
    if isinstance(value, int) and value < 0:
        raise Malformed(f"field {key!r} is {value}, expected 0 or more")
    return value


def _exactly(*lengths: int) -> Callable[[ConfigRecord, str], bytes]:
    def read(record: ConfigRecord, key: str) -> bytes:
        value = _field(record, key, bytes)
        if len(value) not in lengths:
            raise WrongLength(key, len(value), lengths[-1])
        return value

    return read


def _hashes(record: ConfigRecord, key: str) -> tuple[bytes, ...]:
    value = _field(record, key, bytes)
    if len(value) % 32:
        raise WrongLength(key, len(value), len(value) // 32 * 32)
    return tuple(value[start : start + 32] for start in range(0, len(value), 32))


def _exchange(record: ConfigRecord, key: str) -> Exchange:
    name = _field(record, key, str)
    try:
        return Exchange(name)
    except ValueError:
        raise Malformed(f"unknown exchange {name!r}, expected one of {[one.value for one in Exchange]}") from None


def _address(record: ConfigRecord, key: str) -> Address:
    value = _field(record, key, str)
    try:
        return parse_address(value)
    except Malformed as error:
        raise Malformed(f"field {key!r}: {error}") from None


_READERS: dict[str, Callable[[ConfigRecord, str], Any]] = {
    **dict.fromkeys(("chain_id", "epoch", "round"), lambda record, key: _field(record, key, int)),
    **dict.fromkeys(("market", "owner"), _address),
    **dict.fromkeys(("digest", "other_config_hash"), _exactly(32)),
    **dict.fromkeys(("vector", "points", "projected"), lambda record, key: _field(record, key, bytes)),
    "signature": _exactly(0, 64),
    "digests": _hashes,
    "exchange": _exchange,
}
"""How each field is decoded; a name means the same in every message."""
