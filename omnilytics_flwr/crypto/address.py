"""Addresses as text and as the 20 bytes that are hashed."""

from __future__ import annotations

import re
from typing import NewType

from ..errors import Malformed
from .hashing import keccak256

Address = NewType("Address", str)
"""EIP-55 checksummed address, ``0x`` and 40 digits."""

ZERO_ADDRESS = Address("0x" + "00" * 20)

_ADDRESS = re.compile("(?:0[xX])?([0-9a-fA-F]{40})")


def address_bytes(address: Address) -> bytes:
    """The 20 bytes of an address."""
    return bytes.fromhex(address.removeprefix("0x"))


def parse_address(value: str | bytes) -> Address:
    """Checksummed address from text, whose checksum must be right if it has one, or from 20 bytes.

    Raises
    ------
    Malformed
        `value` is not an address.
    """
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    digits = match[1] if match else bytes(value).hex() if isinstance(value, bytes) and len(value) == 20 else ""
    written = checksummed(digits.lower())
    if not digits or (digits not in (digits.lower(), digits.upper()) and digits != written[2:]):
        raise Malformed(f"{value!r} is not an address; expected 0x and 40 hexadecimal digits with a right checksum, or 20 bytes")
    return written


def is_address(value: object) -> bool:
    """Whether `parse_address` takes it."""
    try:
        parse_address(value)  # type: ignore[arg-type]
    except Malformed:
        return False
    return True


def checksummed(digits: str) -> Address:
    """Address of 40 lower-case digits, with its checksum (EIP-55).

    Written out here because a Flower client, which lives for one message, would otherwise spend more time loading the usual library than
    on all else that is ours.
    """
    marks = keccak256(digits.encode()).hex()
    return Address("0x" + "".join(digit.upper() if mark > "7" else digit for digit, mark in zip(digits, marks, strict=False)))
