from __future__ import annotations

import pytest

from omnilytics_flwr.crypto.hashing import keccak256, tag, word


def test_keccak256_of_nothing_is_ethereums() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_tag_is_the_hash_of_version_and_name() -> None:
    assert tag("rho") == keccak256(b"OmniLytics/v1/rho")


@pytest.mark.parametrize(("value", "last"), [(0, b"\0"), (1, b"\x01"), (0x1234, b"\x12\x34")])
def test_word_is_big_endian_and_32_bytes(value: int, last: bytes) -> None:
    assert word(value) == last.rjust(32, b"\0")


def test_word_of_what_does_not_fit_raises() -> None:
    with pytest.raises(OverflowError):
        word(1 << 256)
