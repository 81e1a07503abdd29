"""Tiny contracts, written in the machine's own words, that fail as the tests need it."""

from __future__ import annotations

_COPY_INPUT = "36 5f 5f 37"
_REVERT_INPUT = _COPY_INPUT + "36 5f fd"

REVERTING = bytes.fromhex(_REVERT_INPUT)
"""Reverts with its input as reason."""

ONCE = bytes.fromhex("5f 54 60 0a 57 60 01 5f 55 00 5b" + _REVERT_INPUT)
"""Takes any input once; from then on reverts with it."""

COUNTING = bytes.fromhex("5f 54 60 01 01 5f 55 5f 54 5f 52 60 20 5f a0 00")
"""Counts its calls in slot 0 and logs the count, without topics."""

WORKING = bytes.fromhex("5f 35 5b 60 20 5f 20 5f 52 60 01 90 03 80 60 02 57 00")
"""Hashes as many times as its input word says."""


def creation_code(runtime: bytes) -> bytes:
    """Code that deploys `runtime`, at most 255 bytes."""
    return bytes.fromhex(f"60 {len(runtime):02x} 80 60 09 5f 39 5f f3") + runtime
