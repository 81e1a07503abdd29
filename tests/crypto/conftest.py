"""Rounds of a few groups, as their members deliver them, made once a process; and ways to spoil an encoded point."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from omnilytics_flwr.crypto.computed import computed_settlement
from omnilytics_flwr.crypto.curve import decode_on_curve, encode_point, parse_points, split_points
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import Units, most_unit, pack
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.crypto.lanes import Lanes
from omnilytics_flwr.crypto.prover import Proof, prove
from omnilytics_flwr.crypto.statement import Statement
from tests.support import bad_inputs

from .plain import Plain


@dataclass(frozen=True)
class Round:
    """What a model owner holds when it settles.

    `units[g][i]` are the quantised updates, which it does not hold.
    """

    statement: Statement
    vectors: tuple[FieldVector, ...]
    members: tuple[tuple[bytes, ...], ...]
    units: tuple[tuple[Units, ...], ...]

    def sums(self) -> list[list[int]]:
        """Plain sums of the quantised updates of every group."""
        return [[int(u) for u in sum(group[1:], start=group[0])] for group in self.units]

    def with_extra(self, position: int, extra: FieldVector) -> Round:
        """The same deliveries, but that the last member of this group adds something to its vector against the rules."""
        *rows, last = self.members[position]
        pairs = zip(parse_points(last, self.statement.polynomials), parse_points(commit(extra), self.statement.polynomials), strict=True)
        changed = b"".join(encode_point(own + more) for own, more in pairs)
        vectors = tuple(v + extra if i == position else v for i, v in enumerate(self.vectors))
        return replace(self.with_rows(position, (*rows, changed)), vectors=vectors)

    def with_rows(self, position: int, rows: tuple[bytes, ...]) -> Round:
        """The same round, opened with other points for the members of this group."""
        return replace(self, members=tuple(rows if i == position else group for i, group in enumerate(self.members)))

    def with_outside(self, outside: int) -> Round:
        """The same deliveries, these groups waived."""
        members = tuple(tuple(points_digest(row) if outside >> i & 1 else row for row in group) for i, group in enumerate(self.members))
        return replace(self, statement=replace(self.statement, outside=outside), members=members)

    def plain(self) -> Plain:
        """The plain prover of this round."""
        s = self.statement
        sums = tuple(tuple(tuple(p.to_ints()) for p in self.vectors[i].polynomials()) for i in s.taking_part())
        points = [point for i in s.taking_part() for point in split_points(commit(self.vectors[i]))]
        return Plain(s.context, s.roster_hash, s.sizes, s.outside, s.polynomials, sums, points)

    def head(self) -> bytes:
        """The settlement up to its argument."""
        return b"".join(row for group in self.members for row in group)

    def digests(self) -> tuple[bytes, ...]:
        """Of all members."""
        outside = self.statement.is_outside
        return tuple(row if outside(i) else points_digest(row) for i, group in enumerate(self.members) for row in group)


def make_round(sizes: tuple[int, ...], *, polynomials: int = 1, bits: int = 8, seed: int = 0) -> Round:
    """A round of random updates, by groups of these sizes."""
    rng = np.random.default_rng(seed)
    length = N * polynomials
    units, vectors, members = [], [], []
    for size in sizes:
        group = [rng.integers(1 - (1 << bits - 1), 1 << bits - 1, 2 * length) for _ in range(size)]
        delivered = [pack(member) for member in group]
        mask = random_vector(length, seed=rng.integers(1 << 32))
        delivered[0], delivered[1] = delivered[0] + mask, delivered[1] - mask
        units.append(tuple(group))
        vectors.append(FieldVector.total(delivered))
        members.append(tuple(commit(vector) for vector in delivered))
    statement = Statement(keccak256(b"context"), keccak256(b"roster"), sizes, 0, polynomials)
    return Round(statement, tuple(vectors), tuple(members), tuple(units))


@dataclass(frozen=True)
class ComputedRound:
    """A round of a computed market; `units[g][i]` are the quantised updates, `members` the masked vectors, or digests of groups outside."""

    lanes: Lanes
    statement: Statement
    members: tuple[tuple[bytes, ...], ...]
    units: tuple[tuple[Units, ...], ...]

    def with_outside(self, outside: int) -> ComputedRound:
        """The same deliveries, these groups waived."""
        members = tuple(tuple(keccak256(row) if outside >> i & 1 else row for row in group) for i, group in enumerate(self.members))
        return replace(self, statement=replace(self.statement, outside=outside), members=members)

    def with_extra(self, position: int, element: int, extra: int) -> ComputedRound:
        """The same deliveries, but that the last member of this group adds something to an element against the rules."""
        *rows, last = self.members[position]
        numbers = FieldVector.from_bytes(last, self.lanes.elements).to_ints()
        numbers[element] = (numbers[element] + extra) % R
        changed = (*rows, FieldVector.from_ints(numbers).to_bytes())
        return replace(self, members=tuple(changed if i == position else group for i, group in enumerate(self.members)))

    def settlement(self) -> bytes:
        """What settles it."""
        return computed_settlement(self.members)


def make_computed_round(
    sizes: tuple[int, ...], *, weights: int = 30, bits: int = 16, group_size: int = 3, seed: int = 0, extreme: bool = False
) -> ComputedRound:
    """A round of random updates, or of such as fill the range."""
    lanes, rng = Lanes(weights, bits, group_size), np.random.default_rng(seed)
    most = most_unit(bits)
    units, members = [], []
    for size in sizes:
        drawn = rng.integers(-most, most + 1, (size, lanes.places))
        if extreme:
            drawn = np.repeat(rng.choice([-most, most], (1, lanes.places)), size, axis=0)
        delivered = [lanes.pack(member) for member in drawn]
        for i in range(size):
            mask = random_vector(lanes.elements, seed=rng.integers(1 << 32))
            delivered[i], delivered[i - 1] = delivered[i] + mask, delivered[i - 1] - mask
        units.append(tuple(drawn))
        members.append(tuple(vector.to_bytes() for vector in delivered))
    statement = Statement(keccak256(b"context"), keccak256(b"roster"), sizes, 0, 1)
    return ComputedRound(lanes, statement, tuple(members), tuple(units))


def random_vector(length: int, *, seed: int) -> FieldVector:
    """Uniform field elements, reproducibly."""
    raw = np.random.default_rng(int(seed)).bytes(48 * length)
    return FieldVector.from_ints(int.from_bytes(raw[at : at + 48], "big") % R for at in range(0, len(raw), 48))


def sparse_vector(length: int, values: dict[int, int]) -> FieldVector:
    """Zero but for these elements."""
    return FieldVector.from_ints(values.get(i, 0) for i in range(length))


@pytest.fixture(scope="session")
def small_round() -> Round:
    """Three groups of 3, 4 and 3, one polynomial, 8 bits."""
    return make_round((3, 4, 3), seed=1)


@pytest.fixture(scope="session")
def small_proof(small_round: Round) -> Proof:
    """Its settlement."""
    return prove(small_round.statement, small_round.vectors, small_round.members)


@pytest.fixture(scope="session")
def wide_round() -> Round:
    """Five groups, two polynomials, 16 bits."""
    return make_round((4, 4, 3, 3, 3), polynomials=2, bits=16, seed=2)


def outside_the_subgroup(raw: bytes) -> bytes:
    """The point plus one of order 3."""
    point, small = decode_on_curve(raw), decode_on_curve(bad_inputs.WRONG_SUBGROUP)
    assert point is not None
    assert small is not None
    return encode_point(point + small)


def off_the_curve(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def x_not_reduced(raw: bytes) -> bytes:
    """A point whose x, 0, comes with the order of the field."""
    return bad_inputs.X_NOT_REDUCED


def at_infinity(raw: bytes) -> bytes:
    return bad_inputs.INFINITY
