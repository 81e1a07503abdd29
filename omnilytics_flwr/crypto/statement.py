"""A verification's questions, answers and refusals: the structs and errors of ``IVerification``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import lcm

from ..errors import Refusal
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
        Of the roster's groups and the digests of all its members.
    sizes : tuple of int
        Members of each group of the roster, in roster order.
    outside : int
        Bitmap over roster positions of groups that do not take part (waived or void).
    polynomials : int
        P, the polynomials that are proven for each member: B, or 1 under projection.
    """

    context: bytes
    roster_hash: bytes
    sizes: tuple[int, ...]
    outside: int
    polynomials: int

    def is_outside(self, position: int) -> bool:
        """Whether the group at a roster position does not take part."""
        return bool(self.outside >> position & 1)

    def taking_part(self) -> tuple[int, ...]:
        """Roster positions of the groups that are not outside."""
        return tuple(i for i in range(len(self.sizes)) if not self.is_outside(i))

    def scale(self) -> int:
        """L, the least common multiple of the sizes of the groups taking part."""
        return lcm(*(self.sizes[i] for i in self.taking_part()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a settlement proves.

    Attributes
    ----------
    digests : tuple of bytes, length 32 each
        Of each member of the roster, groups and seats ascending: of its points, or as the settlement gives it for a group outside.
    distances : tuple of int
        Squared distances of all pairs (i, k), 0 <= i < k <= G', lexicographic, in squared quantisation steps times L^2; 0 is
        the zero update, 1 .. G' the groups taking part in roster order.
    """

    digests: tuple[bytes, ...]
    distances: tuple[int, ...]


def pairs(groups: int) -> Iterator[tuple[int, int]]:
    """Pairs (i, k), 0 <= i < k <= `groups`, in lexicographic order."""
    return combinations(range(groups + 1), 2)


def distance_of(value: int) -> int:
    """T = S0 + S1 from V = S0 + 2^84 (2 S01) + 2^168 S1, where S0, S1 < 2^82 and |2 S01| < 2^83."""
    middle = value >> HALF_BITS & _HALF_MASK
    return (value & _HALF_MASK) + (value >> 2 * HALF_BITS) + (middle >> HALF_BITS - 1)


class VerificationWrongLength(Refusal):
    """A length differs from what the statement demands."""

    actual: int
    expected: int
    TEXT = "the settlement has {actual} bytes; expected {expected} for this roster and these waivers"


class VerificationNotCanonical(Refusal):
    """A scalar is not below the field's order."""

    value: int
    TEXT = "the settlement holds the scalar {value:#x}; expected one below the field's order"


class VerificationBadPoint(Refusal):
    """A point is off the curve, outside the subgroup, or not encoded as it must be."""

    TEXT = "a point of the settlement is not a canonical point of the G1 subgroup"


class VerificationWrongOpening(Refusal):
    """The commitments do not open to what the distances and the evaluations say."""

    TEXT = "the settlement's commitments do not open to what its distances and evaluations say"


class VerificationUnsupportedChain(Refusal):
    """The chain lacks a precompile that the verification needs."""

    precompile: str
    TEXT = "the chain has no working precompile at {precompile}; the verification needs those of the Prague fork"
