"""A node's answers as typed values. Nodes are strangers: nothing that they say may cause a stray exception."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..crypto.address import Address, parse_address
from ..errors import ChainError, Malformed

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_BYTES = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_SHOWN = 80


class BadAnswer(ChainError):
    """A node's answer, here shortened, is not `what` it must be."""

    def __init__(self, what: str, answer: str) -> None:
        super().__init__(what, answer)
        self.what, self.answer = what, answer

    def __str__(self) -> str:
        return f"the node's {self.what} is {self.answer}; expected what an Ethereum node answers; ask another node"


def quantity(what: str, value: object) -> int:
    """A number of at most 256 bits from its hexadecimal form; raises `BadAnswer`."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise bad(what, value)
    return int(value, 16)


def octets(what: str, value: object, length: int | None = None) -> bytes:
    """Bytes, so many if that is given, from their hexadecimal form; raises `BadAnswer`."""
    if not isinstance(value, str) or not _BYTES.fullmatch(value) or (length is not None and len(value) != 2 + 2 * length):
        raise bad(what, value)
    return bytes.fromhex(value[2:])


def record(what: str, value: object) -> dict[str, Any]:
    """A JSON object; raises `BadAnswer`."""
    if not isinstance(value, dict):
        raise bad(what, value)
    return value


def records(what: str, value: object) -> list[dict[str, Any]]:
    """A list of JSON objects; raises `BadAnswer`."""
    if not isinstance(value, list):
        raise bad(what, value)
    return [record(what, item) for item in value]


def address(what: str, value: object) -> Address:
    """An address; raises `BadAnswer`."""
    try:
        return parse_address(octets(what, value, 20))
    except Malformed as error:
        raise bad(what, value) from error


def field(source: Mapping[str, Any], name: str) -> int:
    """The number under `name` in an answer; raises `BadAnswer`."""
    return quantity(name, source.get(name))


def bad(what: str, value: object) -> BadAnswer:
    """The error for an answer that is not what it must be."""
    shown = repr(value)
    return BadAnswer(what, shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "...")
