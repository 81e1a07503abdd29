"""What a Flower client gives its owner agent to keep, as bytes: arrays of a private part, and the metrics of a round. Light to import."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..decoding import decode_msgpack


class KeptArray(Struct, frozen=True, array_like=True):
    """An array as Flower has it: its name, what it says of itself, and its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    stype: str
    data: bytes


class KeptMetrics(Struct, frozen=True, array_like=True):
    """Metrics of a round, by the keys of their records."""

    epoch: int
    round: int
    records: dict[str, dict[str, Any]]


def encode_kept(kept: list[KeptArray] | KeptMetrics) -> bytes:
    """Bytes of what is kept."""
    return msgspec.msgpack.encode(kept)


def decode_arrays(content: bytes) -> list[KeptArray]:
    """The arrays of a private part; raises `Malformed`."""
    return decode_msgpack(content, list[KeptArray])


def decode_metrics(content: bytes) -> KeptMetrics:
    """The metrics of a round; raises `Malformed`."""
    return decode_msgpack(content, KeptMetrics)
