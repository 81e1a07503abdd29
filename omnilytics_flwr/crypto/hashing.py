"""Keccak-256, 32-byte words and domain tags, and the ChaCha20 keystream."""

from __future__ import annotations

from Crypto.Hash import keccak
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

KEY_BYTES = 32
VERSION = "OmniLytics/v2/"
"""Prefix of every domain tag."""


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as Ethereum has it (not SHA3-256), 32 bytes."""
    return keccak.new(digest_bits=256, data=data).digest()


def word(value: int) -> bytes:
    """Big-endian 32-byte word of a number from 0 up to 2^256 - 1."""
    return value.to_bytes(32, "big")


def tag(name: str) -> bytes:
    """Domain tag: Keccak-256 of ``OmniLytics/v2/`` and `name`, 32 bytes."""
    return keccak256((VERSION + name).encode())


class Keystream:
    """The ChaCha20 keystream of one key of 32 bytes, from counter 0 under nonce 0. A key must serve one purpose only."""

    __slots__ = ("_encryptor",)

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()

    def read(self, length: int) -> bytes:
        """Next `length` bytes."""
        return self._encryptor.update(bytes(length))
