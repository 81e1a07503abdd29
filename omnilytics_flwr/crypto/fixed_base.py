"""Multi-exponentiation over points that stay the same (Brickell, Gordon, McCurley, Wilson, "Fast Exponentiation with Precomputation", 1992).

Every point P is kept as P, 2^12 P, 2^24 P, ...; a scalar is its digits of 12 bits. One sum of many points with short scalars is left, whose
buckets are added up once, not once for each digit: half of arkworks' time.

The arithmetic is blst's. c-kzg's extension carries blst and, where its wheels are made, exports it. c-kzg does not promise that, so
`FixedBase.build` returns None where it does not, and whoever builds one compares a known answer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from py_arkworks_bls12381 import G1Point

from .curve import COMPRESSED_BYTES, encode_point
from .field import FieldVector, R

_DIGIT_BITS = 12
_DIGITS = -(-R.bit_length() // _DIGIT_BITS)
_AFFINE_BYTES, _JACOBIAN_BYTES = 96, 144
_LIMB_BITS = 64

Bytes = NDArray[np.uint8]


class FixedBase:
    """Tables of some points: 2 KiB a point.

    Parameters
    ----------
    blst : ctypes.CDLL
        Has blst's functions.
    points : sequence of G1Point, not empty, none at infinity
    """

    def __init__(self, blst: Any, points: Sequence[G1Point]) -> None:
        self._blst = blst
        self._count = len(points) * _DIGITS
        self._table = np.empty(self._count * _AFFINE_BYTES, dtype=np.uint8)
        multiples = self._multiples(points)
        blst.blst_p1s_to_affine(_address(self._table), _row(multiples), ctypes.c_size_t(self._count))
        blst.blst_p1s_mult_pippenger_scratch_sizeof.restype = ctypes.c_size_t
        self._scratch_bytes = blst.blst_p1s_mult_pippenger_scratch_sizeof(ctypes.c_size_t(self._count))

    @classmethod
    def build(cls, points: Sequence[G1Point]) -> FixedBase | None:
        """The tables of these points; None where blst cannot be called, or memory is short."""
        try:
            import ckzg

            return cls(ctypes.CDLL(ckzg.__file__), points)
        except (AttributeError, ImportError, MemoryError, OSError):
            return None

    def multiply_sum(self, scalars: FieldVector) -> G1Point:
        """Sum of scalar times point, as many scalars as points; runs beside other threads."""
        digits = _digits(scalars)
        total, compressed = np.empty(_JACOBIAN_BYTES, dtype=np.uint8), ctypes.create_string_buffer(COMPRESSED_BYTES)
        scratch = np.empty(self._scratch_bytes, dtype=np.uint8)
        self._blst.blst_p1s_mult_pippenger(
            _address(total),
            _row(self._table),
            ctypes.c_size_t(self._count),
            _row(digits.view(np.uint8)),
            ctypes.c_size_t(_DIGIT_BITS),
            _address(scratch),
        )
        self._blst.blst_p1_compress(compressed, _address(total))
        return G1Point.from_compressed_bytes_unchecked(compressed.raw)

    def _multiples(self, points: Sequence[G1Point]) -> Bytes:
        """All points, then 2^12 times all points, and so on, in Jacobian coordinates."""
        multiples = np.empty(self._count * _JACOBIAN_BYTES, dtype=np.uint8)
        start, row = multiples.ctypes.data, len(points) * _JACOBIAN_BYTES
        affine = np.empty(_AFFINE_BYTES, dtype=np.uint8)
        for at, point in zip(range(start, start + row, _JACOBIAN_BYTES), points, strict=True):
            self._blst.blst_p1_deserialize(_address(affine), encode_point(point))
            self._blst.blst_p1_from_affine(ctypes.c_void_p(at), _address(affine))
        double = self._blst.blst_p1_double
        double.argtypes, double.restype = [ctypes.c_void_p, ctypes.c_void_p], None
        for at in range(start + row, start + _DIGITS * row, _JACOBIAN_BYTES):
            double(at, at - row)
            for _ in range(_DIGIT_BITS - 1):
                double(at, at)
        return multiples


def _digits(scalars: FieldVector) -> NDArray[np.uint16]:
    """The lowest digits of all scalars, then the next ones; shape (22, n)."""
    limbs, digits = scalars.limbs, np.empty((_DIGITS, len(scalars)), dtype="<u2")
    for place in range(_DIGITS):
        limb, shift = divmod(_DIGIT_BITS * place, _LIMB_BITS)
        values = limbs[:, limb] >> np.uint64(shift)
        if shift > _LIMB_BITS - _DIGIT_BITS and limb + 1 < limbs.shape[1]:
            values = values | limbs[:, limb + 1] << np.uint64(_LIMB_BITS - shift)
        digits[place] = values & np.uint64((1 << _DIGIT_BITS) - 1)
    return digits


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    """Where an array lies, for as long as somebody holds it."""
    return ctypes.c_void_p(array.ctypes.data)


def _row(array: Bytes) -> Any:
    """Things that lie one after the other, as blst takes them: the address of the first, and the end."""
    return (ctypes.c_void_p * 2)(array.ctypes.data, None)
