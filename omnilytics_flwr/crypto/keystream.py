"""The ChaCha20 keystream."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

KEY_BYTES = 32


class Keystream:
    """The ChaCha20 keystream of one key of 32 bytes, from counter 0 under nonce 0. A key must serve one purpose only."""

    __slots__ = ("_encryptor",)

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()

    def read(self, length: int) -> bytes:
        """Next `length` bytes."""
        return self._encryptor.update(bytes(length))
