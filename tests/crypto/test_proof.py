"""Honest settlements: the prover against the plain one, the verifier against plain integers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import unpack
from omnilytics_flwr.crypto.prover import Proof, prove
from omnilytics_flwr.crypto.statement import Verdict, distance_of
from omnilytics_flwr.crypto.verifier import verify
from omnilytics_flwr.errors import BadPoint, WrongLength

from ..support import bad_inputs
from . import plain
from .conftest import Round, random_vector, sparse_vector


def expected_distances(round_: Round, taking: list[int]) -> tuple[int, ...]:
    sums = round_.sums()
    sizes = [round_.statement.sizes[i] for i in taking]
    return tuple(plain.squared_distances([sums[i] for i in taking], sizes))


def test_prove_small_round_is_byte_for_byte_the_plain_provers(small_round: Round, small_proof: Proof) -> None:
    assert small_proof.settlement == small_round.head() + small_round.plain().argue()


def test_verify_small_round_answers_the_plain_distances(small_round: Round, small_proof: Proof) -> None:
    verdict = verify(small_round.statement, small_proof.settlement)
    assert verdict == Verdict(small_round.digests(), expected_distances(small_round, [0, 1, 2]))
    assert verdict == small_proof.verdict


def test_prove_wide_round_answers_the_plain_distances(wide_round: Round) -> None:
    proof = prove(wide_round.statement, wide_round.vectors, wide_round.members)
    assert verify(wide_round.statement, proof.settlement) == proof.verdict
    assert proof.verdict == Verdict(wide_round.digests(), expected_distances(wide_round, [0, 1, 2, 3, 4]))


@pytest.mark.parametrize(("outside", "left"), [(0b01001, [1, 2, 4]), (0b11101, [1])])
def test_prove_with_groups_outside_leaves_them_out(wide_round: Round, outside: int, left: list[int]) -> None:
    waived = wide_round.with_outside(outside)
    proof = prove(waived.statement, [None if waived.statement.is_outside(i) else v for i, v in enumerate(waived.vectors)], waived.members)
    assert verify(waived.statement, proof.settlement) == Verdict(wide_round.digests(), expected_distances(wide_round, left))


def test_prove_with_every_group_outside_has_nothing_to_argue(small_round: Round) -> None:
    waived = small_round.with_outside(0b111)
    proof = prove(waived.statement, [None] * 3, waived.members)
    assert proof.settlement == waived.head()
    assert verify(waived.statement, proof.settlement) == Verdict(small_round.digests(), ())


@pytest.mark.parametrize("half", [1 << 30, -(1 << 30)])
@pytest.mark.parametrize("second", [1, 0, -1])
def test_prove_extreme_updates_stays_exact(small_round: Round, half: int, second: int) -> None:
    sizes = small_round.statement.sizes
    halves = [size * end for size, end in zip(sizes, (half, second * half, half), strict=True)]
    wanted = plain.squared_distances([[half] * 2 * N for half in halves], sizes)
    # The members' points are of other sums, which the prover does not look at.
    sums = [FieldVector.from_ints([half * (1 + (1 << 84)) % R] * N) for half in halves]
    proof = prove(small_round.statement, sums, small_round.members)
    assert proof.verdict.distances == tuple(wanted)


def test_prove_sum_out_of_range_is_proven_like_any_other(small_round: Round) -> None:
    spoilt = small_round.with_extra(1, random_vector(N, seed=7))
    proof = prove(spoilt.statement, spoilt.vectors, spoilt.members)
    assert proof.settlement == spoilt.head() + spoilt.plain().argue()
    assert verify(spoilt.statement, proof.settlement) == proof.verdict
    assert proof.verdict.distances[3] > 2**80


@pytest.mark.parametrize("attack", ["isotropic", "low lane"])
def test_prove_spoilt_sum_may_read_as_distance_0_so_that_the_model_owner_looks_itself(small_round: Round, attack: str) -> None:
    """1 + iota^2 = 0 in the field; and (2^42)^2 = 2^84 looks like the cross term of the two halves, which is thrown away."""
    iota = pow(7, (R - 1) // 4, R)
    extra = {"isotropic": {0: 123456789 << 100, 1: iota * (123456789 << 100) % R}, "low lane": {0: 1 << 42}}[attack]
    twins = replace(
        small_round.with_rows(2, small_round.members[0]), vectors=(small_round.vectors[0], small_round.vectors[1], small_round.vectors[0])
    ).with_outside(0b010)
    spoilt = twins.with_extra(2, sparse_vector(N, extra))
    proof = prove(spoilt.statement, spoilt.vectors, spoilt.members)
    assert verify(spoilt.statement, proof.settlement).distances[2] == 0
    assert [unpack(spoilt.vectors[place], members=3, bits=8) is None for place in (0, 2)] == [False, True]


@pytest.mark.parametrize("name", bad_inputs.BAD_POINTS)
def test_prove_bad_point_is_refused(small_round: Round, name: str) -> None:
    members = ((bad_inputs.BAD_POINTS[name], *small_round.members[0][1:]), *small_round.members[1:])
    with pytest.raises(BadPoint):
        prove(small_round.statement, small_round.vectors, members)


def test_prove_with_something_missing_is_refused(small_round: Round) -> None:
    statement, vectors, members = small_round.statement, small_round.vectors, small_round.members
    for wrong_vectors, wrong_members in (
        (vectors[:2], members),
        (vectors, members[:2]),
        ((None, *vectors[1:]), members),
        ((FieldVector.zeros(N - 1), *vectors[1:]), members),
        (vectors, (members[0][:2], *members[1:])),
        (vectors, ((members[0][0][:-1], *members[0][1:]), *members[1:])),
    ):
        with pytest.raises(WrongLength):
            prove(statement, wrong_vectors, wrong_members)


LARGEST = (1 << 82) - 1


@pytest.mark.parametrize(("s0", "s01", "s1"), [(5, 2, 3), (5, -2, 3), (LARGEST, LARGEST, LARGEST), (LARGEST, -LARGEST, LARGEST)])
def test_distance_of_reads_both_halves_off_one_sum(s0: int, s01: int, s1: int) -> None:
    assert distance_of(s0 + (2 * s01 << 84) + (s1 << 168)) == s0 + s1
