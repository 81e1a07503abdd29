"""Ways to spoil an encoded point of the curve."""

from __future__ import annotations

from omnilytics_flwr.crypto.curve import decode_on_curve, encode_point
from tests.support import bad_inputs


def outside_the_subgroup(raw: bytes) -> bytes:
    """The point plus one of order 3."""
    point, small = decode_on_curve(raw), decode_on_curve(bad_inputs.WRONG_SUBGROUP)
    assert point is not None
    assert small is not None
    return encode_point(point + small)


def off_the_curve(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def padded(raw: bytes) -> bytes:
    return b"\1" + raw[1:]


def x_not_reduced(raw: bytes) -> bytes:
    return (int.from_bytes(raw[:64], "big") + bad_inputs.BASE_MODULUS).to_bytes(64, "big") + raw[64:]


def at_infinity(raw: bytes) -> bytes:
    return bad_inputs.INFINITY
