"""What a settlement's calldata tells of a small model: a lattice finds a group's sum from it, unless every place is uncertain.

The attack is a real one, from published bytes alone. It runs against rounding to the nearest, where it succeeds, and against the protocol's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from omnilytics_flwr.crypto.curve import encode_point, parse_points
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.domain import evaluation_weights
from omnilytics_flwr.crypto.exact import inner_products
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import HALF_BITS, WEIGHTS_PER_POLYNOMIAL, Units, pack, quantise, steps_per_clip
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit, sum_points
from omnilytics_flwr.crypto.projection import project, projection_seed
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.settlement import Settlement
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.crypto.transcript import challenge_rho, challenge_z
from tests.crypto.conftest import random_vector, sparse_vector
from tests.support.lattice import reduced

BITS, CLIP, SIZES = 16, 1.0, (3,)
USUAL_UNITS = 1 << 12
"""About as large as the sums that the attacker looks for."""
Rounding = Callable[[NDArray[np.float64], int], Units]
Equation = tuple[list[int], int]
"""Coefficients of a group's weights, and what they add up to modulo R."""


def rounded_to_the_nearest(update: NDArray[np.float64], number: int) -> Units:
    """Rounding without entropy: places after the last weight are 0, as everybody knows."""
    units = np.zeros(WEIGHTS_PER_POLYNOMIAL, dtype=np.int64)
    units[: len(update)] = np.rint(update * steps_per_clip(BITS))
    return units


def rounded_by_the_protocol(update: NDArray[np.float64], number: int) -> Units:
    return quantise(update, weights=len(update), bits=BITS, clip=CLIP, key=keccak256(b"rounding" + word(number)))


@dataclass(frozen=True)
class Delivered:
    """The deliveries of a round, and the sums of the weights, which nobody is told."""

    vectors: list[list[FieldVector]]
    sums: list[list[int]]

    @classmethod
    def of(cls, weights: int, rounding: Rounding) -> Delivered:
        updates = np.random.default_rng(7).normal(0, 0.05, (len(SIZES), SIZES[0], weights))
        units = [[rounding(update, 10 * g + i) for i, update in enumerate(group)] for g, group in enumerate(updates)]
        masks = [random_vector(N, seed=g) for g in range(len(SIZES))]
        vectors = [[pack(a) + mask, pack(b) - mask, pack(c)] for (a, b, c), mask in zip(units, masks, strict=True)]
        return cls(vectors, [[int(u) for u in np.sum(group, axis=0)[:weights]] for group in units])

    def settled(self, statement: Statement, seed: bytes | None = None) -> bytes:
        """The settlement that everybody can read; of projections, if there is a seed."""
        shown = [[project(vector, seed) if seed else vector for vector in group] for group in self.vectors]
        return prove(statement, list(map(FieldVector.total, shown)), [tuple(map(commit, group)) for group in shown]).settlement


def published_equations(statement: Statement, raw: bytes, weights: int, seed: bytes | None = None) -> list[Equation]:
    """One for each group: at z, its sum has the value that the settlement opens."""
    settlement = Settlement.from_bytes(raw, statement)
    argument = settlement.argument
    assert argument is not None
    points = [encode_point(sum_points([parse_points(row, 1) for row in rows])[0]) for rows in settlement.members]
    rho = challenge_rho(statement, points=points, values=argument.values)
    z = challenge_z(rho, quotient=argument.quotient, remainder=argument.remainder, tail=argument.tail).scalar
    elements = [sparse_vector(N, {i: 1}) for i in range(-(-weights // 2))]
    of_element = inner_products([project(one, seed) if seed else one for one in elements], evaluation_weights(z))
    coefficients = [of_element[j // 2] * (1 << HALF_BITS) ** (j % 2) % R for j in range(weights)]
    return [(coefficients, value) for value in argument.evaluations]


def smallest_solution(equations: Sequence[Equation]) -> list[int] | None:
    """Small integers that solve all equations modulo R, by lattice reduction (Kannan's embedding); None if there are none."""
    size, heavy = len(equations[0][0]), 1 << 64
    identity = [[int(i == j) for j in range(size)] for i in range(size)]
    basis = [row + [0] + [coefficients[i] * heavy for coefficients, _ in equations] for i, row in enumerate(identity)]
    basis.append([0] * size + [USUAL_UNITS] + [-value * heavy for _, value in equations])
    basis += [[0] * (size + 1) + [R * heavy * int(i == j) for j in range(len(equations))] for i in range(len(equations))]
    for row in reduced(basis):
        if abs(row[size]) == USUAL_UNITS and not any(row[size + 1 :]):
            return [u * row[size] // USUAL_UNITS for u in row[:size]]
    return None


def read_off_a_settlement(delivered: Delivered) -> list[list[int] | None]:
    """What the lattice says of each group after one settlement of an exact market."""
    digests = [points_digest(commit(vector)) for group in delivered.vectors for vector in group]
    statement = Statement(keccak256(b"context"), keccak256(b"".join(digests)), SIZES, 0, 1)
    return [
        smallest_solution([equation]) for equation in published_equations(statement, delivered.settled(statement), len(delivered.sums[0]))
    ]


def read_off_two_projections(delivered: Delivered) -> list[list[int] | None]:
    """What it says if the same vectors are projected and settled twice: a reorganisation took the first opening back."""
    equations = []
    for roster in (b"the opening that is forgotten", b"the opening that stays"):
        statement = Statement(keccak256(b"context"), keccak256(roster), SIZES, 0, 1)
        seed = projection_seed(statement.context, statement.roster_hash)
        equations.append(published_equations(statement, delivered.settled(statement, seed), len(delivered.sums[0]), seed))
    return [smallest_solution(of_group) for of_group in zip(*equations, strict=True)]


ATTACKS = {"one settlement, 15 weights": (15, read_off_a_settlement), "two projections, 24 weights": (24, read_off_two_projections)}


@pytest.mark.parametrize(("weights", "attack"), ATTACKS.values(), ids=ATTACKS)
def test_lattice_reads_sums_off_settlements_without_entropy(weights: int, attack: Callable[[Delivered], list[list[int] | None]]) -> None:
    delivered = Delivered.of(weights, rounded_to_the_nearest)

    assert attack(delivered) == delivered.sums


@pytest.mark.parametrize(("weights", "attack"), ATTACKS.values(), ids=ATTACKS)
def test_lattice_finds_nothing_where_every_place_is_uncertain(weights: int, attack: Callable[[Delivered], list[list[int] | None]]) -> None:
    delivered = Delivered.of(weights, rounded_by_the_protocol)

    for found, true in zip(attack(delivered), delivered.sums, strict=True):
        assert found is None or np.max(np.abs(np.subtract(found, true))) > USUAL_UNITS
