"""Points of BLS12-381's G1 in EIP-2537 form: x and y as 64 bytes each, big-endian, zero-padded; infinity is 128 zero bytes."""

from __future__ import annotations

from collections.abc import Sequence

from py_arkworks_bls12381 import G1Point, Scalar

from ..errors import BadPoint, WrongLength
from .field import FieldVector

POINT_BYTES = 128
COMPRESSED_BYTES = 48
BASE_MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""p, the order of the base field."""

_PAD = bytes(16)
_INFINITY = bytes(POINT_BYTES)


def encode_point(point: G1Point) -> bytes:
    """EIP-2537 form, 128 bytes."""
    raw = point.to_xy_bytes_be()
    return _PAD + raw[:48] + _PAD + raw[48:]


def decode_on_curve(raw: bytes) -> G1Point | None:
    """Point from its 128 bytes as EIP-2537's addition takes it: on the curve, in the subgroup or not; None if there is none."""
    if raw == _INFINITY:
        return G1Point.identity()
    if len(raw) != POINT_BYTES or any(int.from_bytes(raw[at : at + 64], "big") >= BASE_MODULUS for at in (0, 64)):
        return None
    try:
        return G1Point.from_xy_bytes_unchecked_be(raw[16:64] + raw[80:])
    except ValueError:
        return None


def parse_points(raw: bytes, count: int) -> tuple[G1Point, ...]:
    """Decode `count` points of the subgroup from untrusted bytes.

    Raises
    ------
    WrongLength
        `raw` has not 128 `count` bytes.
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
    """Cut a string of points into 128 bytes each."""
    return [raw[start : start + POINT_BYTES] for start in range(0, len(raw), POINT_BYTES)]


def compress(encoded: bytes) -> bytes:
    """Compressed form, 48 bytes, of a point of the curve in EIP-2537 form."""
    larger = int.from_bytes(encoded[64:], "big") > (BASE_MODULUS - 1) // 2
    flags = 0x80 | (encoded == _INFINITY) << 6 | larger << 5
    return bytes([encoded[16] | flags]) + encoded[17:64]


def multiply_sum(points: Sequence[G1Point], scalars: FieldVector) -> G1Point:
    """Sum of scalar times point (multi-exponentiation); runs beside other threads."""
    raw = scalars.limbs.astype("<u8").tobytes()
    return G1Point.multiexp_unchecked(list(points), [Scalar.from_le_bytes(raw[at : at + 32]) for at in range(0, len(raw), 32)])
