"""Every message of ours: record key, fields, and the one door through which they are decoded.

All exchanges travel as Flower TRAIN or EVALUATE messages and are told apart by a `ConfigRecord` under `RECORD`.
docs/wire.md lists the fields with units and bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from ..crypto.address import parse_address
from ..errors import Malformed, WrongLength
from ..market.terms import Address

RECORD = "omnilytics"
VERSION = 1

T = TypeVar("T", bool, int, str, bytes)


class Exchange(StrEnum):
    """What a message asks for."""

    TRAIN = "train"
    DELIVER = "deliver"
    EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True)
class TaskHeader:
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

    def to_record(self) -> ConfigRecord:
        """Encode."""
        return ConfigRecord(
            {
                "version": VERSION,
                "exchange": self.exchange.value,
                "chain-id": self.chain_id,
                "market": self.market,
                "epoch": self.epoch,
                "round": self.round,
                "other-config-hash": self.other_config_hash,
            }
        )

    @classmethod
    def from_record(cls, record: ConfigRecord) -> TaskHeader:
        """Decode untrusted; raises `Malformed` or `WrongLength`."""
        return cls(
            exchange_of(record),
            _field(record, "chain-id", int),
            _address(record, "market"),
            _field(record, "epoch", int),
            _field(record, "round", int),
            _bytes(record, "other-config-hash", 32),
        )


@dataclass(frozen=True, slots=True)
class CommitReply:
    """A data owner's digest and its compact EIP-712 signature (EIP-2098, 64 bytes)."""

    owner: Address
    digest: bytes
    signature: bytes

    def to_record(self) -> ConfigRecord:
        """Encode."""
        return ConfigRecord({"version": VERSION, "owner": self.owner, "digest": self.digest, "signature": self.signature})

    @classmethod
    def from_record(cls, record: ConfigRecord) -> CommitReply:
        """Decode untrusted; raises `Malformed` or `WrongLength`."""
        _check_version(record)
        return cls(_address(record, "owner"), _bytes(record, "digest", 32), _bytes(record, "signature", 64))


@dataclass(frozen=True, slots=True)
class DeliverRequest:
    """Asks for the vector of an opened round; `digests` is the roster in order, which hashes to what is on chain."""

    chain_id: int
    market: Address
    epoch: int
    round: int
    digests: tuple[bytes, ...]

    def to_record(self) -> ConfigRecord:
        """Encode."""
        return ConfigRecord(
            {
                "version": VERSION,
                "exchange": Exchange.DELIVER.value,
                "chain-id": self.chain_id,
                "market": self.market,
                "epoch": self.epoch,
                "round": self.round,
                "digests": b"".join(self.digests),
            }
        )

    @classmethod
    def from_record(cls, record: ConfigRecord) -> DeliverRequest:
        """Decode untrusted; raises `Malformed` or `WrongLength`."""
        _check_version(record)
        digests = _field(record, "digests", bytes)
        if len(digests) % 32:
            raise WrongLength("digests", len(digests), len(digests) // 32 * 32)
        return cls(
            _field(record, "chain-id", int),
            _address(record, "market"),
            _field(record, "epoch", int),
            _field(record, "round", int),
            tuple(digests[i : i + 32] for i in range(0, len(digests), 32)),
        )


@dataclass(frozen=True, slots=True)
class DeliverReply:
    """A data owner's masked vector (canonical 32-byte elements) and its commitments (128 bytes each)."""

    owner: Address
    vector: bytes
    points: bytes

    def to_record(self) -> ConfigRecord:
        """Encode."""
        return ConfigRecord({"version": VERSION, "owner": self.owner, "vector": self.vector, "points": self.points})

    @classmethod
    def from_record(cls, record: ConfigRecord) -> DeliverReply:
        """Decode untrusted; lengths are checked by who knows the terms. Raises `Malformed`."""
        _check_version(record)
        return cls(_address(record, "owner"), _field(record, "vector", bytes), _field(record, "points", bytes))


def exchange_of(record: ConfigRecord) -> Exchange:
    """Which exchange a request belongs to; raises `Malformed`."""
    _check_version(record)
    name = _field(record, "exchange", str)
    try:
        return Exchange(name)
    except ValueError:
        raise Malformed(f"unknown exchange {name!r}, expected one of {[e.value for e in Exchange]}") from None


def our_record(content: RecordDict) -> ConfigRecord:
    """Our record of a message; raises `Malformed` if there is none."""
    record = content.config_records.get(RECORD)
    if record is None:
        raise Malformed(f"the message has no {RECORD!r} record; this client answers to its market only")
    return record


def named_arrays(record: ArrayRecord) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Names and arrays of a record, in order; raises `Malformed` for an array that does not decode."""
    for name, array in record.items():
        try:
            yield name, array.numpy()
        except Exception as error:  # whatever numpy raises for bytes that are no array
            raise Malformed(f"array {name!r} does not decode: {error}; send arrays that numpy can load") from error


def config_entries(record: ConfigRecord) -> dict[str, object]:
    """A config record as a plain dictionary."""
    return dict(record.items())


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


def _bytes(record: ConfigRecord, key: str, length: int) -> bytes:
    value = _field(record, key, bytes)
    if len(value) != length:
        raise WrongLength(key, len(value), length)
    return value


def _address(record: ConfigRecord, key: str) -> Address:
    value = _field(record, key, str)
    try:
        return parse_address(value)
    except Malformed as error:
        raise Malformed(f"field {key!r}: {error}") from None
