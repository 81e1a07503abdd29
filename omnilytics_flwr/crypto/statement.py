"""What a verification is asked and what it answers; the same fields as the structs of ``IVerification``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import lcm

from .fixedpoint import HALF_BITS

_HALF_MASK = (1 << HALF_BITS) - 1


@dataclass(frozen=True, slots=True)
class Statement:
    """What must hold for a settlement.

    Attributes
    ----------
    context : bytes, length 32
        Binds chain, market, epoch seed, epoch, round and task.
    roster_hash : bytes, length 32
        Keccak-256 of the digests of all members, groups ascending, seats ascending.
    sizes : tuple of int
        Members of each group of the roster, in roster order.
    outside : int
        Bitmap over roster positions of groups that do not take part (waived or void).
    polynomials : int
        B.
    update_bits : int
        b.
    """

    context: bytes
    roster_hash: bytes
    sizes: tuple[int, ...]
    outside: int
    polynomials: int
    update_bits: int

    def is_outside(self, position: int) -> bool:
        """Whether the group at a roster position does not take part."""
        return bool(self.outside >> position & 1)

    def taking_part(self, excluded: int = 0) -> tuple[int, ...]:
        """Roster positions of the groups neither outside nor in the bitmap `excluded`."""
        return tuple(i for i in range(len(self.sizes)) if not (self.outside | excluded) >> i & 1)

    def scale(self, excluded: int = 0) -> int:
        """L, the least common multiple of the sizes of the groups taking part."""
        return lcm(*(self.sizes[i] for i in self.taking_part(excluded)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a settlement proves.

    Attributes
    ----------
    excluded : int
        Bitmap over roster positions of groups whose sum is proven out of range.
    distances : tuple of int
        Squared distances of all pairs (i, k), 0 <= i < k <= G', lexicographic, in squared quantisation steps times L^2; 0 is
        the zero update, 1 .. G' the groups taking part in roster order.
    """

    excluded: int
    distances: tuple[int, ...]


def pairs(groups: int) -> Iterator[tuple[int, int]]:
    """Pairs (i, k), 0 <= i < k <= `groups`, in lexicographic order."""
    return combinations(range(groups + 1), 2)


def distance_of(value: int) -> int:
    """T = S0 + S1 from V = S0 + 2^84 (2 S01) + 2^168 S1, where S0, S1 < 2^82 and |2 S01| < 2^83."""
    middle = value >> HALF_BITS & _HALF_MASK
    return (value & _HALF_MASK) + (value >> 2 * HALF_BITS) + (middle >> HALF_BITS - 1)
