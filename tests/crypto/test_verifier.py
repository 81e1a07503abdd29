"""Dishonest settlements: every one is refused, and by the name that the order of the checks demands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from py_arkworks_bls12381 import G1Point

from omnilytics_flwr.crypto.curve import decode_on_curve, encode_point
from omnilytics_flwr.crypto.domain import roots
from omnilytics_flwr.crypto.field import N, R
from omnilytics_flwr.crypto.kzg import prove_opening
from omnilytics_flwr.crypto.prover import Proof, prove
from omnilytics_flwr.crypto.settlement import Argument, Exclusion, Settlement
from omnilytics_flwr.crypto.statement import (
    VerificationBadPoint,
    VerificationNotCanonical,
    VerificationWrongExclusion,
    VerificationWrongLength,
    VerificationWrongOpening,
    VerificationWrongRoster,
    VerificationWrongSumcheck,
)
from omnilytics_flwr.crypto.verifier import verify
from omnilytics_flwr.errors import Refusal

from ..support import bad_inputs
from .conftest import Round, off_the_curve, outside_the_subgroup, padded, random_vector, sparse_vector, x_not_reduced
from .plain import Lies


def refusal_of(round_: Round, settlement: bytes) -> tuple[type[Refusal], tuple[object, ...]]:
    """Class and facts of what the verifier says no with."""
    with pytest.raises(Refusal) as refusal:
        verify(round_.statement, settlement)
    return type(refusal.value), refusal.value.args


def with_argument(round_: Round, settlement: bytes, change: Callable[[Argument], Argument]) -> bytes:
    parts = Settlement.from_bytes(settlement, round_.statement)
    assert parts.argument is not None
    return replace(parts, argument=change(parts.argument)).to_bytes()


def bumped(numbers: tuple[int, ...], place: int, by: int) -> tuple[int, ...]:
    return tuple((number + by) % R if i == place % len(numbers) else number for i, number in enumerate(numbers))


def test_settlement_there_and_back_is_the_same_string(small_round: Round, small_proof: Proof) -> None:
    assert Settlement.from_bytes(small_proof.settlement, small_round.statement).to_bytes() == small_proof.settlement


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("by", [1, -1])
def test_verify_distance_off_by_one_is_refused(small_round: Round, small_proof: Proof, place: int, by: int) -> None:
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, values=bumped(a.values, place, by)))
    assert refusal_of(small_round, forged)[0] is VerificationWrongSumcheck


@pytest.mark.parametrize("place", range(5))
def test_verify_evaluation_off_by_one_is_refused(small_round: Round, small_proof: Proof, place: int) -> None:
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, evaluations=bumped(a.evaluations, place, 1)))
    assert refusal_of(small_round, forged)[0] is VerificationWrongSumcheck


@pytest.mark.parametrize("field", ["values", "evaluations"])
@pytest.mark.parametrize("name", [*bad_inputs.NON_CANONICAL_WORDS, "the same plus R"])
@pytest.mark.parametrize("place", [0, -1])
def test_verify_scalar_not_canonical_is_refused(small_round: Round, small_proof: Proof, field: str, name: str, place: int) -> None:
    """The same element in another form must not pass either: one settlement, one string."""
    said: list[int] = []

    def change(argument: Argument) -> Argument:
        numbers = list(getattr(argument, field))
        word = bad_inputs.NON_CANONICAL_WORDS.get(name)
        numbers[place] = numbers[place] + R if word is None else int.from_bytes(word, "big")
        said.append(numbers[place])
        return replace(argument, **{field: tuple(numbers)})

    assert refusal_of(small_round, with_argument(small_round, small_proof.settlement, change)) == (VerificationNotCanonical, tuple(said))


@pytest.mark.parametrize(
    "change",
    [{"context": bytes(32)}, {"update_bits": 9}, {"sizes": (4, 3, 3)}],
    ids=["context", "bits", "the same members in other groups"],
)
def test_verify_for_another_statement_is_refused(small_round: Round, small_proof: Proof, change: dict[str, Any]) -> None:
    other = replace(small_round, statement=replace(small_round.statement, **change))
    assert refusal_of(other, small_proof.settlement)[0] is VerificationWrongSumcheck


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [rows[1], rows[0], *rows[2:]],
        lambda rows: [rows[0], rows[0], *rows[2:]],
        lambda rows: [bad_inputs.GENERATOR, *rows[1:]],
        lambda rows: [bad_inputs.INFINITY, *rows[1:]],
        lambda rows: [bad_inputs.OFF_CURVE, *rows[1:]],
    ],
    ids=["swapped", "twice", "replaced", "infinity", "off the curve"],
)
def test_verify_other_members_points_are_refused(
    small_round: Round, small_proof: Proof, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    rows = change([row for group in small_round.members for row in group])
    forged = b"".join(rows) + small_proof.settlement[10 * 128 :]
    kind, facts = refusal_of(small_round, forged)
    assert (kind, facts[1]) == (VerificationWrongRoster, small_round.statement.roster_hash)


@pytest.mark.parametrize("change", [lambda raw: b"", lambda raw: raw[:1280]])
def test_verify_settlement_that_ends_before_its_exclusions_is_refused(
    small_round: Round, small_proof: Proof, change: Callable[[bytes], bytes]
) -> None:
    raw = change(small_proof.settlement)
    assert refusal_of(small_round, raw) == (VerificationWrongLength, (len(raw), 1281))


@pytest.mark.parametrize("change", [bad_inputs.short_by_one, bad_inputs.long_by_one, lambda raw: raw[:1281], lambda raw: raw + raw])
def test_verify_wrong_length_is_refused(small_round: Round, small_proof: Proof, change: Callable[[bytes], bytes]) -> None:
    raw = change(small_proof.settlement)
    assert refusal_of(small_round, raw) == (VerificationWrongLength, (len(raw), len(small_proof.settlement)))


@pytest.mark.parametrize("missing", ["quotient", "remainder", "fold_proof", "constant_proof", "values", "evaluations"])
def test_verify_part_left_empty_is_refused(small_round: Round, small_proof: Proof, missing: str) -> None:
    """A part of length zero that is hashed as nothing and read as its neighbour would let any distances pass."""
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, **{missing: type(getattr(a, missing))()}))
    assert refusal_of(small_round, forged)[0] is VerificationWrongLength


@pytest.mark.parametrize("num_exclusions", [1, 3, 4, 255])
def test_verify_number_of_exclusions_decides_the_length(small_round: Round, small_proof: Proof, num_exclusions: int) -> None:
    forged = small_proof.settlement[:1280] + bytes([num_exclusions]) + small_proof.settlement[1281:]
    groups = max(0, 3 - num_exclusions)
    words = groups * (groups + 1) // 2 + groups + 2
    expected = 1281 + 85 * num_exclusions + (32 * words + 256 + 96 if groups else 0)
    assert refusal_of(small_round, forged)[1] == (len(forged), expected)


@pytest.mark.parametrize(("sizes", "polynomials", "args"), [((3, 1, 3), 1, (1, 2)), ((3, 0), 1, (0, 2)), ((3, 3), 0, (0, 1))])
def test_verify_statement_without_anything_to_prove_is_refused(
    small_round: Round, sizes: tuple[int, ...], polynomials: int, args: tuple[int, int]
) -> None:
    empty = replace(small_round, statement=replace(small_round.statement, sizes=sizes, polynomials=polynomials))
    assert refusal_of(empty, b"\0") == (VerificationWrongLength, args)


@pytest.mark.parametrize("field", ["fold_proof", "constant_proof"])
@pytest.mark.parametrize(
    "proof",
    [bytes(48), b"\xff" * 48, bytes([0xC0]) + bytes(47), bytes([0x80]) + bytes(47), G1Point().to_compressed_bytes()],
    ids=["zeros", "ones", "infinity", "outside the subgroup", "generator"],
)
def test_verify_other_opening_proof_is_refused(small_round: Round, small_proof: Proof, field: str, proof: bytes) -> None:
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, **{field: proof}))
    assert refusal_of(small_round, forged) == (VerificationWrongOpening, (0 if field == "fold_proof" else 1,))


@pytest.mark.parametrize("field", ["quotient", "remainder"])
@pytest.mark.parametrize("name", [*bad_inputs.BAD_POINTS, "INFINITY"])
def test_verify_other_commitment_is_refused(small_round: Round, small_proof: Proof, field: str, name: str) -> None:
    point = getattr(bad_inputs, name)
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, **{field: point}))
    # Another commitment means another z, for which the evaluations are not.
    assert refusal_of(small_round, forged)[0] is VerificationWrongSumcheck


@pytest.mark.parametrize("field", ["quotient_point", "remainder_point"])
@pytest.mark.parametrize("spoil", [outside_the_subgroup, off_the_curve, padded, x_not_reduced])
def test_verify_bad_commitment_consistently_argued_is_refused(small_round: Round, field: str, spoil: Callable[[bytes], bytes]) -> None:
    forged = small_round.head() + small_round.plain().argue(Lies(**{field: spoil}))
    assert refusal_of(small_round, forged)[0] is VerificationBadPoint


@pytest.mark.parametrize("field", ["quotient_point", "remainder_point"])
def test_verify_commitment_at_infinity_consistently_argued_is_refused(small_round: Round, field: str) -> None:
    forged = small_round.head() + small_round.plain().argue(Lies(**{field: lambda raw: bad_inputs.INFINITY}))
    assert refusal_of(small_round, forged) == (VerificationWrongOpening, (0 if field == "quotient_point" else 1,))


def test_verify_forged_distance_argued_ever_better_is_refused_by_each_check(small_round: Round) -> None:
    plain = small_round.plain()

    def first_plus_n(values: list[int]) -> list[int]:
        return [(values[0] + N) % R, *values[1:]]

    def constant_plus_one(remainder: list[int]) -> list[int]:
        return [(remainder[0] + 1) % R, *remainder[1:]]

    def y_f_minus_one(evaluations: list[int], z: int) -> list[int]:
        return [*evaluations[:-1], (evaluations[-1] - 1) % R]

    only_claimed = Lies(values=first_plus_n)
    and_committed = Lies(values=first_plus_n, remainder=constant_plus_one)
    and_evaluated = Lies(values=first_plus_n, remainder=constant_plus_one, evaluations=y_f_minus_one)

    refusals = [refusal_of(small_round, small_round.head() + plain.argue(lies)) for lies in (only_claimed, and_committed, and_evaluated)]

    assert refusals == [(VerificationWrongOpening, (1,)), (VerificationWrongSumcheck, ()), (VerificationWrongOpening, (0,))]


@pytest.mark.parametrize("name", bad_inputs.NOT_ON_CURVE)
def test_verify_committed_point_off_the_curve_is_refused(small_round: Round, small_proof: Proof, name: str) -> None:
    spoilt = small_round.with_rows(1, (bad_inputs.NOT_ON_CURVE[name], *small_round.members[1][1:]))
    assert refusal_of(spoilt, spoilt.head() + small_proof.settlement[1281:])[0] is VerificationBadPoint


def test_verify_committed_point_outside_the_subgroup_is_refused(small_round: Round) -> None:
    first, *rest = small_round.members[1]
    spoilt = small_round.with_rows(1, (outside_the_subgroup(first), *rest))
    plain = spoilt.plain()
    plain.points = [outside_the_subgroup(point) if i == 1 else point for i, point in enumerate(plain.points)]
    assert refusal_of(spoilt, spoilt.head() + plain.argue())[0] is VerificationBadPoint


def test_verify_points_outside_the_subgroup_that_cancel_are_harmless(small_round: Round) -> None:
    """Only sums are used; this is what the market's check at delivery is for, and the distances are right all the same."""
    first, second, *rest = small_round.members[0]
    small = decode_on_curve(bad_inputs.WRONG_SUBGROUP)
    point = decode_on_curve(second)
    assert small is not None
    assert point is not None
    spoilt = small_round.with_rows(0, (outside_the_subgroup(first), encode_point(point - small), *rest))
    verdict = verify(spoilt.statement, spoilt.head() + spoilt.plain().argue())
    assert verdict == prove(small_round.statement, small_round.vectors, small_round.members).verdict


# Exclusions: each is taken for what the sum opens to, and for nothing else.


@pytest.fixture(scope="module")
def excluding(small_round: Round) -> tuple[Round, Settlement]:
    """Groups 0 and 2 of three are out of range."""
    round_ = small_round.with_extra(0, random_vector(N, seed=1)).with_extra(2, sparse_vector(N, {9: 1 << 200}))
    proof = prove(round_.statement, round_.vectors, round_.members)
    return round_, Settlement.from_bytes(proof.settlement, round_.statement)


def test_verify_exclusions_are_taken(excluding: tuple[Round, Settlement]) -> None:
    round_, settlement = excluding
    assert verify(round_.statement, settlement.to_bytes()).excluded == 0b101


INFINITY_PROOF = bytes([0xC0]) + bytes(47)
WRONG_EXCLUSIONS: dict[str, tuple[dict[str, Any], type[Refusal], int]] = {
    "polynomial": ({"polynomial": 1}, VerificationWrongExclusion, 2),
    "index": ({"index": N}, VerificationWrongExclusion, 2),
    "position": ({"position": 3}, VerificationWrongExclusion, 3),
    "last position": ({"position": 255}, VerificationWrongExclusion, 255),
    "order": ({"position": 0}, VerificationWrongExclusion, 0),
    "modulus": ({"value": R}, VerificationNotCanonical, R),
    "largest": ({"value": (1 << 256) - 1}, VerificationNotCanonical, (1 << 256) - 1),
    "other value": ({"value": (1 << 200) + 1}, VerificationWrongOpening, 3),
    "in range": ({"value": 3 * (1 + (1 << 84))}, VerificationWrongExclusion, 2),
    "other index": ({"index": 10}, VerificationWrongOpening, 3),
    "honest group": ({"position": 1}, VerificationWrongOpening, 3),
    "no proof": ({"proof": bytes(48)}, VerificationWrongOpening, 3),
    "infinity": ({"proof": INFINITY_PROOF}, VerificationWrongOpening, 3),
}


@pytest.mark.parametrize("case", WRONG_EXCLUSIONS)
def test_verify_wrong_exclusion_is_refused(excluding: tuple[Round, Settlement], case: str) -> None:
    round_, settlement = excluding
    change, expected, fact = WRONG_EXCLUSIONS[case]
    first, second = settlement.exclusions
    assert second.index == 9
    assert refusal_of(round_, replace(settlement, exclusions=(first, replace(second, **change))).to_bytes()) == (expected, (fact,))


def test_verify_exclusions_swapped_are_refused(excluding: tuple[Round, Settlement]) -> None:
    round_, settlement = excluding
    assert refusal_of(round_, replace(settlement, exclusions=settlement.exclusions[::-1]).to_bytes()) == (VerificationWrongExclusion, (0,))


def test_verify_exclusion_of_an_honest_group_truly_opened_is_refused(small_round: Round) -> None:
    """Its value is in range by the group's own size; with a smaller h it would not be."""
    values = small_round.vectors[1].to_ints()
    largest = max(range(N), key=lambda i: values[i])
    exclusion = Exclusion(1, 0, largest, values[largest], prove_opening(small_round.vectors[1], roots()[largest], values[largest]))
    claim = Settlement(small_round.members, (exclusion,), None).to_bytes() + bytes(32 * 3 + 256 + 32 * 4 + 96)
    assert refusal_of(small_round, claim) == (VerificationWrongExclusion, (1,))


def test_verify_exclusion_of_a_group_outside_is_refused(excluding: tuple[Round, Settlement]) -> None:
    round_, settlement = excluding
    waived = round_.with_outside(0b001)
    claim = replace(settlement, members=waived.members, argument=None).to_bytes()
    # Two groups take part and two are said to be excluded: the length is right.
    assert refusal_of(waived, claim) == (VerificationWrongExclusion, (0,))


def test_verify_more_exclusions_than_groups_is_refused(excluding: tuple[Round, Settlement]) -> None:
    round_, settlement = excluding
    first, second = settlement.exclusions
    claim = replace(settlement, exclusions=(first, second, second, second), argument=None).to_bytes()
    assert refusal_of(round_, claim) == (VerificationWrongExclusion, (2,))


def test_verify_digest_of_a_group_outside_is_checked(small_round: Round) -> None:
    waived = small_round.with_outside(0b111)
    raw = bytearray(waived.head())
    raw[5] ^= 1
    assert refusal_of(waived, bytes(raw))[0] is VerificationWrongRoster
