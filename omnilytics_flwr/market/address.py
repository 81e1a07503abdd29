"""Addresses as text and as the 20 bytes that are hashed."""

from __future__ import annotations

from eth_utils.address import is_address, is_checksum_address, is_checksum_formatted_address, to_checksum_address

from ..errors import Malformed
from .terms import Address


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
    if not is_address(value) or (is_checksum_formatted_address(value) and not is_checksum_address(value)):
        raise Malformed(f"{value!r} is not an address; expected 0x and 40 hexadecimal digits with a right checksum, or 20 bytes")
    return Address(to_checksum_address(value))
