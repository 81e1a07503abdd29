"""Settlements that exclude groups out of range: each exclusion is taken for what the sum opens to, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from omnilytics_flwr.crypto.domain import roots
from omnilytics_flwr.crypto.field import N, R
from omnilytics_flwr.crypto.kzg import prove_opening
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.settlement import Exclusion, Settlement
from omnilytics_flwr.crypto.statement import (
    Refusal,
    VerificationNotCanonical,
    VerificationWrongExclusion,
    VerificationWrongOpening,
    VerificationWrongRoster,
)
from omnilytics_flwr.crypto.verifier import verify

from .rounds import Round, random_vector, sparse_vector


def refusal_of(round_: Round, settlement: bytes) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        verify(round_.statement, settlement)
    return refusal.value


@pytest.fixture(scope="module")
def excluding(small_round: Round) -> tuple[Round, Settlement]:
    """Groups 0 and 2 of three are out of range."""
    round_ = small_round.with_extra(0, random_vector(N, seed=1)).with_extra(2, sparse_vector(N, {9: 1 << 200}))
    proof = prove(round_.statement, round_.vectors, round_.members)
    return round_, Settlement.from_bytes(proof.settlement, round_.statement)


def test_verify_exclusions_are_taken(excluding: tuple[Round, Settlement]) -> None:
    round_, settlement = excluding

    assert verify(round_.statement, settlement.to_bytes()).excluded == 0b101


@pytest.mark.parametrize(
    ("change", "expected", "args"),
    [
        (lambda e: replace(e, polynomial=1), VerificationWrongExclusion, (2,)),
        (lambda e: replace(e, index=N), VerificationWrongExclusion, (2,)),
        (lambda e: replace(e, position=3), VerificationWrongExclusion, (3,)),
        (lambda e: replace(e, position=255), VerificationWrongExclusion, (255,)),
        (lambda e: replace(e, position=0), VerificationWrongExclusion, (0,)),
        (lambda e: replace(e, value=R), VerificationNotCanonical, (R,)),
        (lambda e: replace(e, value=(1 << 256) - 1), VerificationNotCanonical, ((1 << 256) - 1,)),
        (lambda e: replace(e, value=e.value + 1), VerificationWrongOpening, (3,)),
        (lambda e: replace(e, value=3 * (1 + (1 << 84))), VerificationWrongExclusion, (2,)),
        (lambda e: replace(e, index=e.index + 1), VerificationWrongOpening, (3,)),
        (lambda e: replace(e, position=1), VerificationWrongOpening, (3,)),
        (lambda e: replace(e, proof=bytes(48)), VerificationWrongOpening, (3,)),
        (lambda e: replace(e, proof=bytes([0xC0]) + bytes(47)), VerificationWrongOpening, (3,)),
    ],
    ids=[
        "polynomial",
        "index",
        "position",
        "last position",
        "order",
        "modulus",
        "largest",
        "value",
        "in range",
        "other index",
        "honest group",
        "no proof",
        "infinity",
    ],
)
def test_verify_wrong_exclusion_is_refused(
    excluding: tuple[Round, Settlement],
    change: Callable[[Exclusion], Exclusion],
    expected: type[Refusal],
    args: tuple[int, ...],
) -> None:
    round_, settlement = excluding
    first, second = settlement.exclusions

    refusal = refusal_of(round_, replace(settlement, exclusions=(first, change(second))).to_bytes())

    assert type(refusal) is expected
    assert refusal.args == args


def test_verify_exclusions_swapped_are_refused(excluding: tuple[Round, Settlement]) -> None:
    round_, settlement = excluding

    refusal = refusal_of(round_, replace(settlement, exclusions=settlement.exclusions[::-1]).to_bytes())

    assert type(refusal) is VerificationWrongExclusion
    assert refusal.args == (0,)


def test_verify_exclusion_of_an_honest_group_truly_opened_is_refused(small_round: Round) -> None:
    """Its value is in range by the group's own size; with a smaller h it would not be."""
    values = small_round.vectors[1].to_ints()
    largest = max(range(N), key=lambda i: values[i])
    exclusion = Exclusion(1, 0, largest, values[largest], prove_opening(small_round.vectors[1], roots()[largest], values[largest]))
    claim = Settlement(small_round.members, (exclusion,), None).to_bytes() + bytes(32 * 3 + 256 + 32 * 4 + 96)

    refusal = refusal_of(small_round, claim)

    assert type(refusal) is VerificationWrongExclusion
    assert refusal.args == (1,)


def test_verify_exclusion_of_a_group_outside_is_refused(excluding: tuple[Round, Settlement]) -> None:
    round_, settlement = excluding
    waived = round_.with_outside(0b001)
    claim = replace(settlement, members=waived.members, argument=None).to_bytes()

    # Two groups take part and two are said to be excluded: the length is right.
    refusal = refusal_of(waived, claim)

    assert type(refusal) is VerificationWrongExclusion
    assert refusal.args == (0,)


def test_verify_more_exclusions_than_groups_is_refused(excluding: tuple[Round, Settlement]) -> None:
    round_, settlement = excluding
    first, second = settlement.exclusions
    claim = replace(settlement, exclusions=(first, second, second, second), argument=None).to_bytes()

    refusal = refusal_of(round_, claim)

    assert type(refusal) is VerificationWrongExclusion
    assert refusal.args == (2,)


def test_verify_digest_of_a_group_outside_is_checked(small_round: Round) -> None:
    waived = small_round.with_outside(0b111)
    raw = bytearray(waived.head())
    raw[5] ^= 1

    assert type(refusal_of(waived, bytes(raw))) is VerificationWrongRoster
