"""Points of BLS12-381's G1 as they travel: x and y, 48 bytes each, big-endian; infinity is 96 zero bytes."""

from __future__ import annotations

from collections.abc import Sequence

from py_arkworks_bls12381 import G1Point, Scalar

from ..errors import BadPoint, WrongLength
from .field import FieldVector

POINT_BYTES = 96
COMPRESSED_BYTES = 48
BASE_MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""p, the order of the base field."""

_INFINITY = bytes(POINT_BYTES)


Points = Sequence[G1Point]
"""Commitments of the polynomials of a vector, decoded."""


def encode_point(point: G1Point) -> bytes:
    """Coordinates of a point, 96 bytes."""
    return point.to_xy_bytes_be()


def padded(encoded: bytes) -> bytes:
    """The same point as EIP-2537's precompiles have it: each coordinate after 16 zero bytes, 128 bytes."""
    return bytes(16) + encoded[:48] + bytes(16) + encoded[48:]


def decode_on_curve(raw: bytes) -> G1Point | None:
    """Point from its 96 bytes as EIP-2537's addition takes it: on the curve, in the subgroup or not; None if there is none."""
    if raw == _INFINITY:
        return G1Point.identity()
    if len(raw) != POINT_BYTES or any(int.from_bytes(raw[at : at + 48], "big") >= BASE_MODULUS for at in (0, 48)):
        return None
    try:
        return G1Point.from_xy_bytes_unchecked_be(raw)
    except ValueError:
        return None


def parse_points(raw: bytes, count: int) -> tuple[G1Point, ...]:
    """Decode `count` points of the subgroup from untrusted bytes.

    Raises
    ------
    WrongLength
        `raw` has not 96 `count` bytes.
    BadPoint
        A point is not canonical, off the curve or outside the subgroup; carries its index.
    """
    if len(raw) != POINT_BYTES * count:
        raise WrongLength("a string of points, in bytes,", len(raw), POINT_BYTES * count)
    points = []
    for index, encoded in enumerate(split_points(raw)):
        point = decode_on_curve(encoded)
        if point is None or not point.is_in_subgroup():
            raise BadPoint(index)
        points.append(point)
    return tuple(points)


def split_points(raw: bytes) -> list[bytes]:
    """Cut a string of points into 96 bytes each."""
    return [raw[start : start + POINT_BYTES] for start in range(0, len(raw), POINT_BYTES)]


def compress(encoded: bytes) -> bytes:
    """Compressed form, 48 bytes, of a point of the curve."""
    larger = int.from_bytes(encoded[48:], "big") > (BASE_MODULUS - 1) // 2
    flags = 0x80 | (encoded == _INFINITY) << 6 | larger << 5
    return bytes([encoded[0] | flags]) + encoded[1:48]


def multiply_sum(points: Sequence[G1Point], scalars: FieldVector) -> G1Point:
    """Sum of scalar times point (multi-exponentiation); runs beside other threads."""
    raw = scalars.limbs.astype("<u8").tobytes()
    return G1Point.multiexp_unchecked(list(points), [Scalar.from_le_bytes(raw[at : at + 32]) for at in range(0, len(raw), 32)])
