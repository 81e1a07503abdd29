"""Deliveries of one polynomial, whose commitments are put together from a few that are computed once a process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from py_arkworks_bls12381 import G1Point

from omnilytics_flwr.crypto.commitment import commit_polynomial
from omnilytics_flwr.crypto.curve import encode_point
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import pack
from tests.crypto.rounds import random_vector, sparse_vector

WEIGHTS, BITS = 100, 8
ZERO_UNIT, MOST_UNIT = 1 << BITS - 1, (1 << BITS) - 1
HALF = 1 << 84
"""One unit of the second weight of an element."""
PADDING = WEIGHTS // 2
"""First element that holds no weights."""
IMAGINARY = pow(7, (R - 1) // 4, R)
"""A square root of -1."""


@dataclass(frozen=True)
class Part:
    """A vector of one polynomial and its commitment; both add.

    Attributes
    ----------
    vector : FieldVector, length N
    point : G1Point
    sent : bytes, length 128, optional
        What is sent instead of the commitment.
    """

    vector: FieldVector
    point: G1Point
    sent: bytes | None = None

    @classmethod
    def of(cls, vector: FieldVector) -> Part:
        return cls(vector, commit_polynomial(vector))

    def __add__(self, other: Part) -> Part:
        return Part(self.vector + other.vector, self.point + other.point)

    def __sub__(self, other: Part) -> Part:
        return Part(self.vector - other.vector, self.point - other.point)

    @property
    def points(self) -> bytes:
        """The commitment as it is sent, 128 bytes."""
        return self.sent or encode_point(self.point)


@cache
def near(number: int = 0) -> Part:
    """An honest update: steps of a few units."""
    steps = np.random.default_rng(number).integers(-6, 7, WEIGHTS)
    return Part.of(pack(_units(lambda units: units[:WEIGHTS].__iadd__(steps.astype(np.uint64)))))


@cache
def far() -> Part:
    """The largest update there is."""
    return Part.of(pack(_units(lambda units: units[:WEIGHTS].fill(MOST_UNIT))))


@cache
def level(number: int) -> Part:
    """The update of so many units at every weight, positive or negative."""
    return Part.of(pack(_units(lambda units: units[:WEIGHTS].fill(ZERO_UNIT + number))))


@cache
def step(number: int) -> Part:
    """What adds so many units to the first weight."""
    return Part.of(sparse_vector(N, {0: number % R}))


@cache
def extra(values: tuple[tuple[int, int], ...]) -> Part:
    """What is added to an update against the rules: (element, value) pairs."""
    return Part.of(sparse_vector(N, dict(values)))


def wild(number: int = 0) -> Part:
    """An update whose group's sum is out of range at element 9."""
    return near(number) + extra(((9, 1 << 200),))


def isotropic(number: int = 0) -> Part:
    """An update whose group's sum is out of range in the padding, at no distance: the two changes' squares sum to 0 modulo r."""
    return near(number) + extra(((PADDING, 1 << 200), (PADDING + 1, (IMAGINARY << 200) % R)))


def masked(updates: Sequence[Part]) -> list[Part]:
    """Deliveries of a group: each with a mask, which cancel in the sum."""
    count = len(updates)
    return [update + _mask(i) - _mask((i + 1) % count) for i, update in enumerate(updates)]


def total(parts: Sequence[Part]) -> FieldVector:
    """Sum of the vectors."""
    return FieldVector.total([part.vector for part in parts])


@cache
def _mask(number: int) -> Part:
    return Part.of(random_vector(N, seed=1000 + number))


def _units(change: Callable[[np.ndarray], object]) -> np.ndarray:
    """The zero update, changed."""
    units = np.full(2 * N, ZERO_UNIT, dtype=np.uint64)
    change(units)
    return units
