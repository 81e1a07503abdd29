"""Honest settlements: the prover against the plain one, the verifier against plain integers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.prover import Proof, prove
from omnilytics_flwr.crypto.statement import Verdict, VerificationWrongRoster, distance_of
from omnilytics_flwr.crypto.verifier import verify
from omnilytics_flwr.errors import BadPoint, WrongLength

from ..support import bad_inputs
from . import plain
from .conftest import Round, random_vector, sparse_vector


def expected_distances(round_: Round, taking: list[int]) -> tuple[int, ...]:
    sums = round_.sums()
    sizes = [round_.statement.sizes[i] for i in taking]
    return tuple(plain.squared_distances([sums[i] for i in taking], sizes, round_.statement.update_bits))


def test_prove_small_round_is_byte_for_byte_the_plain_provers(small_round: Round, small_proof: Proof) -> None:
    assert small_proof.settlement == small_round.head() + small_round.plain().argue()


def test_verify_small_round_answers_the_plain_distances(small_round: Round, small_proof: Proof) -> None:
    verdict = verify(small_round.statement, small_proof.settlement)
    assert verdict == Verdict(0, expected_distances(small_round, [0, 1, 2]))
    assert verdict == small_proof.verdict


def test_prove_wide_round_answers_the_plain_distances(wide_round: Round) -> None:
    proof = prove(wide_round.statement, wide_round.vectors, wide_round.members)
    assert verify(wide_round.statement, proof.settlement) == proof.verdict
    assert proof.verdict == Verdict(0, expected_distances(wide_round, [0, 1, 2, 3, 4]))
    assert tuple(map(distance_of, proof.values)) == proof.verdict.distances
    assert proof.taking_part == (0, 1, 2, 3, 4)
    assert [units.tolist() for units in proof.sums] == wide_round.sums()


@pytest.mark.parametrize(("outside", "left"), [(0b01001, [1, 2, 4]), (0b11101, [1])])
def test_prove_with_groups_outside_leaves_them_out(wide_round: Round, outside: int, left: list[int]) -> None:
    waived = wide_round.with_outside(outside)
    proof = prove(waived.statement, [None if waived.statement.is_outside(i) else v for i, v in enumerate(waived.vectors)], waived.members)
    assert verify(waived.statement, proof.settlement) == Verdict(0, expected_distances(wide_round, left))
    assert proof.taking_part == tuple(left)


def test_prove_with_every_group_outside_has_nothing_to_argue(small_round: Round) -> None:
    waived = small_round.with_outside(0b111)
    proof = prove(waived.statement, [None] * 3, waived.members)
    assert proof.settlement == waived.head()
    assert verify(waived.statement, proof.settlement) == Verdict(0, ())


@pytest.mark.parametrize("bits", [2, 29])
@pytest.mark.parametrize("fill", ["least", "most", "opposite"])
def test_prove_extreme_updates_stays_exact(small_round: Round, bits: int, fill: str) -> None:
    statement = replace(small_round.statement, update_bits=bits)
    low, high = 1, (1 << bits) - 1
    ends = {"least": (low, low, low), "most": (high, high, high), "opposite": (low, high, low)}[fill]
    halves = [size * end for size, end in zip(statement.sizes, ends, strict=True)]
    wanted = plain.squared_distances([[half] * 2 * N for half in halves], statement.sizes, bits)
    # The members' points are of other sums, which the prover does not look at.
    proof = prove(statement, [FieldVector.from_ints([half * (1 + (1 << 84))] * N) for half in halves], small_round.members)
    assert proof.verdict.distances == tuple(wanted)


MOST = 3 * 0xFFFF * (1 + (1 << 84))
LEAST = 3 * (1 + (1 << 84))


def with_sums(round_: Round, position: int, sums: dict[int, int]) -> Round:
    """The same deliveries but that a group's sum has these elements."""
    own = round_.vectors[position].to_ints()
    return round_.with_extra(position, sparse_vector(len(own), {i: (value - own[i]) % R for i, value in sums.items()}))


@pytest.mark.parametrize(
    "sums",
    [{7: MOST + 1}, {7: LEAST - 1}, {N + 4095: R - 1}, {5: MOST + (1 << 64), 6: (1 << 83)}, {2 * N - 1: MOST + (1 << 148)}],
    ids=["one step too many", "one step too few", "negative", "wide", "last"],
)
def test_prove_excludes_a_group_out_of_range(wide_round: Round, sums: dict[int, int]) -> None:
    spoilt = with_sums(wide_round, 3, sums)
    proof = prove(spoilt.statement, spoilt.vectors, spoilt.members)
    assert verify(spoilt.statement, proof.settlement) == Verdict(0b01000, expected_distances(wide_round, [0, 1, 2, 4]))
    assert proof.taking_part == (0, 1, 2, 4)


def test_prove_at_the_ends_of_the_range_excludes_nothing(wide_round: Round) -> None:
    pushed = with_sums(wide_round, 3, {7: MOST, 8: LEAST})
    proof = prove(pushed.statement, pushed.vectors, pushed.members)
    assert verify(pushed.statement, proof.settlement).excluded == 0
    assert proof.sums[3][14:18].tolist() == [3 * 0xFFFF, 3 * 0xFFFF, 3, 3]


def test_prove_with_every_group_out_of_range_argues_nothing(small_round: Round) -> None:
    spoilt = small_round
    for position in range(3):
        spoilt = spoilt.with_extra(position, random_vector(N, seed=position))
    proof = prove(spoilt.statement, spoilt.vectors, spoilt.members)
    assert verify(spoilt.statement, proof.settlement) == Verdict(0b111, ())
    assert proof.sums == ()


def test_prove_isotropic_group_is_excluded_which_alone_stops_it(small_round: Round) -> None:
    """1 + iota^2 = 0 in the field: adding (t, iota t) to a sum keeps it at distance 0 from its twin, however large t is."""
    iota = pow(7, (R - 1) // 4, R)
    attack = sparse_vector(N, {0: 123456789 << 100, 1: iota * (123456789 << 100) % R})
    first = small_round.vectors[0]
    twins = replace(small_round.with_rows(2, small_round.members[0]), vectors=(first, small_round.vectors[1], first)).with_outside(0b010)
    spoilt = twins.with_extra(2, attack)

    undefended = verify(spoilt.statement, spoilt.head() + spoilt.plain().argue())
    defended = prove(spoilt.statement, spoilt.vectors, spoilt.members)

    assert undefended.excluded == 0
    assert undefended.distances[0] == expected_distances(small_round, [0])[0]
    assert undefended.distances[2] == 0
    assert verify(spoilt.statement, defended.settlement).excluded == 0b100


def test_prove_other_points_than_the_rosters_is_refused(small_round: Round) -> None:
    swapped = (small_round.members[0], small_round.members[1], small_round.members[2][::-1])
    with pytest.raises(VerificationWrongRoster):
        prove(small_round.statement, small_round.vectors, swapped)


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
