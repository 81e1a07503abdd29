"""Attacks on a vector of field elements: what no honest agent would ever commit to.

Each is an immutable value that is called with a masked vector. Masks cancel, so whatever it adds to one member's vector is added to the
group's sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..crypto.field import ELEMENT_BYTES, FieldVector, R
from ..crypto.fixedpoint import HALF_BITS
from ..crypto.masks import Pad
from ..errors import TermsError

IMAGINARY = pow(7, (R - 1) // 4, R)
"""A square root of -1, which the field has because r = 1 modulo 4."""


class VectorAttack(Protocol):
    """An attack on a masked vector: an immutable value, and the same vector gives the same attack."""

    def __call__(self, vector: FieldVector) -> FieldVector:
        """What the attacker commits to in place of `vector`."""


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """One element too large: the group's sum leaves [-h M, h M] there, and the mean would be ruined.

    `bits` is how much is added, as a power of two. The group comes out far off, and the model owner never aggregates it.
    """

    element: int = 0
    bits: int = 200

    def __post_init__(self) -> None:
        _check_bits(self.bits)

    def __call__(self, vector: FieldVector) -> FieldVector:
        """See `VectorAttack`."""
        return add_at(vector, {self.element: 1 << self.bits})


@dataclass(frozen=True, slots=True)
class Isotropic:
    """Two elements out of range whose squares add up to nothing: the group is as near to everybody as if it were honest.

    Adds t and t times a root of -1: t^2 (1 + (-1)) = 0 modulo r. What is linear in t stays, and is larger than any distance unless the
    groups' sums agree in those places. Whatever the contract says, the model owner never aggregates a sum that is out of range.
    """

    first: int = -2
    second: int = -1
    bits: int = 200

    def __post_init__(self) -> None:
        _check_bits(self.bits)

    def __call__(self, vector: FieldVector) -> FieldVector:
        """See `VectorAttack`."""
        return add_at(vector, {self.first: 1 << self.bits, self.second: IMAGINARY * (1 << self.bits)})


@dataclass(frozen=True, slots=True)
class HalfOutOfRange:
    """The lower weight of an element off by 2^42: its square is 2^84, which reads as none of the lower weights' and one of the mixed.

    A sum of exact distances notices next to nothing, so that the contract may accept and pay the group. The model owner, who has the
    sum, never aggregates it.
    """

    element: int = 0

    def __call__(self, vector: FieldVector) -> FieldVector:
        """See `VectorAttack`."""
        return add_at(vector, {self.element: 1 << HALF_BITS // 2})


@dataclass(frozen=True, slots=True)
class Unmasked:
    """Random elements in place of the vector: the masks of the others no longer cancel, and the group's sum is noise."""

    seed: int = 0

    def __call__(self, vector: FieldVector) -> FieldVector:
        """See `VectorAttack`."""
        return Pad(self.seed.to_bytes(ELEMENT_BYTES, "big")).read(len(vector))


def add_at(vector: FieldVector, changes: dict[int, int]) -> FieldVector:
    """The vector with something added, modulo r, at some elements; a negative index counts from the end."""
    limbs = np.zeros((len(vector), 4), dtype=np.uint64)
    for index, value in changes.items():
        if not -len(vector) <= index < len(vector):
            raise TermsError(f"element {index} is none of a vector of {len(vector)}; choose another element to attack")
        limbs[index] = FieldVector.from_ints([value % R]).limbs[0]
    return vector + FieldVector(limbs)


def _check_bits(bits: int) -> None:
    if not 0 <= bits < R.bit_length() - 1:
        raise TermsError(f"bits is {bits}, expected 0 to {R.bit_length() - 2}; more does not fit the field")
