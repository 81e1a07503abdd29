"""Dishonest settlements: every one is refused, and by the name that the order of the checks demands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from py_arkworks_bls12381 import G1Point

from omnilytics_flwr.crypto.curve import decode_on_curve, encode_point
from omnilytics_flwr.crypto.field import N, R
from omnilytics_flwr.crypto.prover import Proof, prove
from omnilytics_flwr.crypto.settlement import Argument, Settlement
from omnilytics_flwr.crypto.statement import (
    VerificationBadPoint,
    VerificationNotCanonical,
    VerificationWrongLength,
    VerificationWrongOpening,
)
from omnilytics_flwr.crypto.verifier import verify
from omnilytics_flwr.errors import Refusal

from ..support import bad_inputs
from .conftest import Round, off_the_curve, outside_the_subgroup, x_not_reduced
from .plain import Lies

HEAD = 10 * 96
"""Bytes of the members' points in the small round."""


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
    assert refusal_of(small_round, forged)[0] is VerificationWrongOpening


@pytest.mark.parametrize("place", range(3))
def test_verify_evaluation_off_by_one_is_refused(small_round: Round, small_proof: Proof, place: int) -> None:
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, evaluations=bumped(a.evaluations, place, 1)))
    assert refusal_of(small_round, forged)[0] is VerificationWrongOpening


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
    [{"context": bytes(32)}, {"roster_hash": bytes(32)}, {"sizes": (4, 3, 3)}],
    ids=["context", "roster hash", "the same members in other groups"],
)
def test_verify_for_another_statement_is_refused(small_round: Round, small_proof: Proof, change: dict[str, Any]) -> None:
    other = replace(small_round, statement=replace(small_round.statement, **change))
    assert refusal_of(other, small_proof.settlement)[0] is VerificationWrongOpening


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda rows: [rows[0], rows[0], *rows[2:]], VerificationWrongOpening),
        (lambda rows: [bad_inputs.GENERATOR, *rows[1:]], VerificationWrongOpening),
        (lambda rows: [bad_inputs.INFINITY, *rows[1:]], VerificationWrongOpening),
        (lambda rows: [bad_inputs.OFF_CURVE, *rows[1:]], VerificationBadPoint),
    ],
    ids=["twice", "replaced", "infinity", "off the curve"],
)
def test_verify_other_members_points_are_refused(
    small_round: Round, small_proof: Proof, change: Callable[[list[bytes]], list[bytes]], kind: type[Refusal]
) -> None:
    rows = change([row for group in small_round.members for row in group])
    assert refusal_of(small_round, b"".join(rows) + small_proof.settlement[HEAD:])[0] is kind


def test_verify_members_swapped_in_a_group_shows_in_the_digests(small_round: Round, small_proof: Proof) -> None:
    """Their sum is the same; whose point it is, the market sees by the signatures."""
    rows = [row for group in small_round.members for row in group]
    rows[0], rows[1] = rows[1], rows[0]
    verdict = verify(small_round.statement, b"".join(rows) + small_proof.settlement[HEAD:])
    first, second, *others = small_proof.verdict.digests
    assert verdict == replace(small_proof.verdict, digests=(second, first, *others))


@pytest.mark.parametrize(
    "change",
    [lambda raw: b"", lambda raw: raw[:HEAD], bad_inputs.short_by_one, bad_inputs.long_by_one, lambda raw: raw + raw, lambda raw: raw[96:]],
)
def test_verify_wrong_length_is_refused(small_round: Round, small_proof: Proof, change: Callable[[bytes], bytes]) -> None:
    raw = change(small_proof.settlement)
    assert refusal_of(small_round, raw) == (VerificationWrongLength, (len(raw), len(small_proof.settlement)))


@pytest.mark.parametrize("missing", ["quotient", "remainder", "tail", "proof", "values", "evaluations"])
def test_verify_part_left_empty_is_refused(small_round: Round, small_proof: Proof, missing: str) -> None:
    """A part of length zero that is hashed as nothing and read as its neighbour would let any distances pass."""
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, **{missing: type(getattr(a, missing))()}))
    assert refusal_of(small_round, forged)[0] is VerificationWrongLength


@pytest.mark.parametrize(("sizes", "polynomials", "args"), [((3, 1, 3), 1, (1, 2)), ((3, 0), 1, (0, 2)), ((3, 3), 0, (0, 1))])
def test_verify_statement_without_anything_to_prove_is_refused(
    small_round: Round, sizes: tuple[int, ...], polynomials: int, args: tuple[int, int]
) -> None:
    empty = replace(small_round, statement=replace(small_round.statement, sizes=sizes, polynomials=polynomials))
    assert refusal_of(empty, b"") == (VerificationWrongLength, args)


@pytest.mark.parametrize(
    "proof",
    [bytes(48), b"\xff" * 48, bytes([0xC0]) + bytes(47), bytes([0x80]) + bytes(47), G1Point().to_compressed_bytes()],
    ids=["zeros", "ones", "infinity", "outside the subgroup", "generator"],
)
def test_verify_other_opening_proof_is_refused(small_round: Round, small_proof: Proof, proof: bytes) -> None:
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, proof=proof))
    assert refusal_of(small_round, forged)[0] is VerificationWrongOpening


@pytest.mark.parametrize("field", ["quotient", "remainder", "tail"])
@pytest.mark.parametrize("name", [*bad_inputs.BAD_POINTS, "INFINITY"])
def test_verify_other_commitment_is_refused(small_round: Round, small_proof: Proof, field: str, name: str) -> None:
    point = getattr(bad_inputs, name)
    forged = with_argument(small_round, small_proof.settlement, lambda a: replace(a, **{field: point}))
    # The points are the fold's; the curve is asked before the opening.
    assert refusal_of(small_round, forged)[0] is (VerificationBadPoint if name in bad_inputs.BAD_POINTS else VerificationWrongOpening)


@pytest.mark.parametrize("field", ["quotient_point", "remainder_point", "tail_point"])
@pytest.mark.parametrize("spoil", [outside_the_subgroup, off_the_curve, x_not_reduced])
def test_verify_bad_commitment_consistently_argued_is_refused(small_round: Round, field: str, spoil: Callable[[bytes], bytes]) -> None:
    forged = small_round.head() + small_round.plain().argue(Lies(**{field: spoil}))
    assert refusal_of(small_round, forged)[0] is VerificationBadPoint


@pytest.mark.parametrize("field", ["quotient_point", "remainder_point", "tail_point"])
def test_verify_commitment_at_infinity_consistently_argued_is_refused(small_round: Round, field: str) -> None:
    forged = small_round.head() + small_round.plain().argue(Lies(**{field: lambda raw: bad_inputs.INFINITY}))
    assert refusal_of(small_round, forged)[0] is VerificationWrongOpening


def first_v_more(values: list[int]) -> list[int]:
    return [(values[0] + N) % R, *values[1:]]


def constant_more(remainder: list[int]) -> list[int]:
    return [(remainder[0] + 1) % R, *remainder[1:]]


@pytest.mark.parametrize("lies", [Lies(values=first_v_more), Lies(values=first_v_more, remainder=constant_more)], ids=["V", "V and f"])
def test_verify_forged_distance_argued_ever_better_is_refused(small_round: Round, lies: Lies) -> None:
    assert refusal_of(small_round, small_round.head() + small_round.plain().argue(lies))[0] is VerificationWrongOpening


@pytest.mark.parametrize("name", bad_inputs.NOT_ON_CURVE)
def test_verify_committed_point_off_the_curve_is_refused(small_round: Round, small_proof: Proof, name: str) -> None:
    spoilt = small_round.with_rows(1, (bad_inputs.NOT_ON_CURVE[name], *small_round.members[1][1:]))
    assert refusal_of(spoilt, spoilt.head() + small_proof.settlement[HEAD:])[0] is VerificationBadPoint


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
    assert verdict.distances == prove(small_round.statement, small_round.vectors, small_round.members).verdict.distances
