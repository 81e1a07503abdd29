"""Keccak-256, 32-byte words and domain tags."""

from __future__ import annotations

from Crypto.Hash import keccak

VERSION = "OmniLytics/v2/"
"""Prefix of every label."""


def keccak256(*parts: bytes) -> bytes:
    """Keccak-256 as Ethereum has it (not SHA3-256) of all parts in a row, which are not copied; 32 bytes."""
    state = keccak.new(digest_bits=256)
    for part in parts:
        state.update(part)
    return state.digest()


def word(value: int) -> bytes:
    """Big-endian 32-byte word of a number from 0 up to 2^256 - 1."""
    return value.to_bytes(32, "big")


def label(name: str) -> bytes:
    """What hashed bytes of any length begin with: ``OmniLytics/v2/`` and `name`, in ASCII."""
    return (VERSION + name).encode()


def tag(name: str) -> bytes:
    """Domain tag: Keccak-256 of the label of `name`, 32 bytes."""
    return keccak256(label(name))
