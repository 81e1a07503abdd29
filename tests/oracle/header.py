"""Block headers, as far as a draw needs them."""

from __future__ import annotations

import rlp
from rlp.exceptions import RLPException

from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.errors import Malformed

HISTORY_BLOCKS = 8191
"""Blocks whose hash a contract can still ask for (EIP-2935)."""
PREVRANDAO_FIELD = 13
"""Place of prevrandao (``mixHash``) in a block header."""


def plain_header(chain_id: int, number: int) -> bytes:
    """A block header of the right shape whose prevrandao follows from chain and number."""
    prevrandao = keccak256(b"prevrandao" + word(chain_id) + word(number))
    before = [
        bytes(32),
        bytes(32),
        bytes(20),
        bytes(32),
        bytes(32),
        bytes(32),
        bytes(256),
        b"",
        _integer(number),
        b"",
        b"",
        b"",
        b"",
    ]
    return bytes(rlp.encode([*before, prevrandao, bytes(8), b"", bytes(32), b"", b"", bytes(32), bytes(32)]))


def prevrandao_of(header: bytes) -> bytes:
    """Prevrandao in an RLP block header, 32 bytes.

    Raises
    ------
    Malformed
        It is no block header.
    """
    try:
        field = rlp.decode(header)[PREVRANDAO_FIELD]
    except (RLPException, IndexError, RecursionError) as error:
        raise Malformed(f"{len(header)} bytes are no block header ({error}); expected RLP; fetch the header from the chain") from error
    if not isinstance(field, bytes) or len(field) != 32:
        raise Malformed(f"a block header has the prevrandao {field!r}; expected 32 bytes; fetch the header from the chain")
    return field


def _integer(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
