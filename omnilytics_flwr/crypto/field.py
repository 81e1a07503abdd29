"""Vectors over the scalar field of BLS12-381.

A vector is an array of four 64-bit limbs per element, least significant first, always canonical. Bytes become a vector through
`FieldVector.from_bytes` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ..errors import NotCanonical, WrongLength

R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Order of the scalar field."""
N = 4096
"""Elements of one polynomial, as of an EIP-4844 blob."""
ELEMENT_BYTES = 32

Limbs = NDArray[np.uint64]
Integers = NDArray[np.object_]
"""Array of Python integers."""

_R_LIMBS = np.array([R >> 64 * i & (1 << 64) - 1 for i in range(4)], dtype=np.uint64)


class FieldVector:
    """Immutable vector of canonical field elements.

    Parameters
    ----------
    limbs : uint64 array, shape (n, 4)
        Limbs of each element, least significant first; the element must be below R. Neither checked nor copied: bytes and
        numbers from outside come through `from_bytes` and `from_ints`.
    """

    __slots__ = ("limbs",)

    limbs: Limbs

    def __init__(self, limbs: Limbs) -> None:
        limbs.flags.writeable = False
        self.limbs = limbs

    @classmethod
    def from_bytes(cls, raw: bytes | memoryview, length: int) -> FieldVector:
        """Decode `length` canonical big-endian words of 32 bytes.

        Raises
        ------
        WrongLength
            `raw` has not 32 `length` bytes.
        NotCanonical
            A word is not below R; carries the first such word's index and value.
        """
        if len(raw) != ELEMENT_BYTES * length:
            raise WrongLength("a vector of field elements, in bytes,", len(raw), ELEMENT_BYTES * length)
        limbs = limbs_of_words(raw)
        wrong = np.flatnonzero(~below_modulus(limbs))
        if wrong.size:
            index = int(wrong[0])
            raise NotCanonical(index, int.from_bytes(raw[ELEMENT_BYTES * index : ELEMENT_BYTES * (index + 1)], "big"))
        return cls(limbs)

    @classmethod
    def from_ints(cls, values: Iterable[int]) -> FieldVector:
        """Vector of integers in 0 .. R - 1; NotCanonical for any other."""
        numbers = list(values)
        wrong = next((index for index, value in enumerate(numbers) if not 0 <= value < R), None)
        if wrong is not None:
            raise NotCanonical(wrong, numbers[wrong])
        raw = b"".join([value.to_bytes(ELEMENT_BYTES, "little") for value in numbers])
        return cls(np.frombuffer(raw, dtype="<u8").astype(np.uint64).reshape(-1, 4))

    @classmethod
    def from_signed(cls, limbs: Limbs) -> FieldVector:
        """Vector of integers above -R and below R in two's complement of 256 bits; shape (n, 4)."""
        negative = limbs[:, 3] >> np.uint64(63) == 1
        return cls(_add(limbs, np.where(negative[:, None], _R_LIMBS, np.uint64(0))))

    @classmethod
    def zeros(cls, length: int) -> FieldVector:
        """Zero vector."""
        return cls(np.zeros((length, 4), dtype=np.uint64))

    @classmethod
    def joined(cls, pieces: Iterable[FieldVector]) -> FieldVector:
        """The vector of at least one piece."""
        return cls(np.concatenate([piece.limbs for piece in pieces]))

    @classmethod
    def total(cls, vectors: Sequence[FieldVector]) -> FieldVector:
        """Sum of at least one vector."""
        return reduce(lambda left, right: left + right, vectors)

    def to_bytes(self) -> bytes:
        """Canonical big-endian words, 32 bytes an element."""
        return self.limbs[:, ::-1].astype(">u8").tobytes()

    def to_ints(self) -> list[int]:
        """Elements as Python integers."""
        raw = self.to_bytes()
        return [int.from_bytes(raw[start : start + ELEMENT_BYTES], "big") for start in range(0, len(raw), ELEMENT_BYTES)]

    def polynomials(self) -> Iterator[FieldVector]:
        """Cut into polynomials of N elements."""
        for start in range(0, len(self), N):
            yield FieldVector(self.limbs[start : start + N])

    def __len__(self) -> int:
        return len(self.limbs)

    def __add__(self, other: FieldVector) -> FieldVector:
        return FieldVector(_reduce_once(_add(self.limbs, self._like(other))))

    def __sub__(self, other: FieldVector) -> FieldVector:
        difference, borrow = _subtract(self.limbs, self._like(other))
        return FieldVector(np.where(borrow[:, None], _add(difference, _R_LIMBS[None]), difference))

    def __neg__(self) -> FieldVector:
        return FieldVector.zeros(len(self)) - self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldVector) and np.array_equal(self.limbs, other.limbs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FieldVector(<{len(self)} elements>)"

    def _like(self, other: FieldVector) -> Limbs:
        if len(other) != len(self):
            raise WrongLength("the second vector", len(other), len(self))
        return other.limbs


def limbs_of_words(raw: bytes | memoryview) -> Limbs:
    """Limbs of big-endian 32-byte words, whatever their value; shape (n, 4), least significant first."""
    return np.ascontiguousarray(np.frombuffer(raw, dtype=">u8").reshape(-1, 4)[:, ::-1], dtype=np.uint64)


def below_modulus(limbs: Limbs) -> NDArray[np.bool_]:
    """Which elements are below R."""
    return _subtract(limbs, _R_LIMBS[None])[1]


def _add(left: Limbs, right: Limbs) -> Limbs:
    """Sum modulo 2^256."""
    total = left + right
    carry = total[:, 0] < left[:, 0]
    for i in range(1, 4):
        overflow = total[:, i] < left[:, i]
        total[:, i] += carry
        carry = overflow | (carry & (total[:, i] == 0))
    return total


def _subtract(left: Limbs, right: Limbs) -> tuple[Limbs, NDArray[np.bool_]]:
    """Difference modulo 2^256, and whether it is negative."""
    difference = left - right
    borrow = left[:, 0] < right[:, 0]
    for i in range(1, 4):
        underflow = left[:, i] < right[:, i]
        underflow |= borrow & (difference[:, i] == 0)
        difference[:, i] -= borrow
        borrow = underflow
    return difference, borrow


def _reduce_once(limbs: Limbs) -> Limbs:
    """Canonical form of elements below 2 R."""
    reduced, borrow = _subtract(limbs, _R_LIMBS[None])
    return np.where(borrow[:, None], limbs, reduced)
