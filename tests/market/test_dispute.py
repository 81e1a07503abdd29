"""The rules of disputes: deadlines, costs, deposits, void groups."""

from __future__ import annotations

from hashlib import sha256

import pytest

from omnilytics_flwr.market.dispute import (
    BURN_ADDRESS,
    accuse_by,
    answer_cost_wei,
    blob_hash_of,
    blob_transactions,
    lapsed,
    usual_deposit_wei,
    void_groups,
)
from tests.support.bad_inputs import GENERATOR, INFINITY
from tests.support.builders import make_terms

ROSTER = (0b000_000_111, 0b001_110_000, 0b110_000_000)


def test_accuse_by_leaves_room_to_answer_and_to_prove() -> None:
    terms = make_terms(accuse_seconds=80, answer_seconds=1800, prove_seconds=141)
    opened, settle_by = 10_000, 10_000 + terms.round_seconds
    assert accuse_by(settle_by, terms) == opened + 80
    assert accuse_by(settle_by, terms) + terms.answer_seconds == settle_by - terms.prove_seconds


@pytest.mark.parametrize(("now", "expected"), [(99, 0), (100, 0), (101, 0b0101)])
def test_lapsed_is_whoever_has_not_answered_after_the_deadline(now: int, expected: int) -> None:
    assert lapsed(accused=0b0111, answered=0b0010, answer_by=100, now=now) == expected


def test_void_groups_are_those_with_a_lapsed_member() -> None:
    assert void_groups(ROSTER, 0) == 0
    assert void_groups(ROSTER, 0b000_000_001) == 0b001
    assert void_groups(ROSTER, 0b111_110_000) == 0b110
    assert void_groups(ROSTER, 1 << 3) == 0


@pytest.mark.parametrize(("polynomials", "blobs", "expected"), [(1, 6, 1), (6, 6, 1), (7, 6, 2), (7, 2, 4), (512, 6, 86)])
def test_blob_transactions_of_as_many_blobs_as_fit(polynomials: int, blobs: int, expected: int) -> None:
    assert blob_transactions(polynomials, blobs) == expected


@pytest.mark.parametrize(
    ("polynomials", "base", "blob_base", "expected"),
    [(1, 0, 1, 131_072), (1, 1, 0, 116_000), (7, 10, 3, 7 * 131_072 * 3 + (200_000 + 112_000) * 10), (3, 0, 0, 0)],
)
def test_answer_cost_is_blobs_and_stated_gas(polynomials: int, base: int, blob_base: int, expected: int) -> None:
    assert answer_cost_wei(polynomials, blobs=6, base_fee_wei=base, blob_base_fee_wei=blob_base) == expected


@pytest.mark.parametrize(("cost", "expected"), [(0, 0), (1, 2), (4, 5), (5, 7), (1000, 1250)])
def test_usual_deposit_is_a_quarter_more_rounded_up(cost: int, expected: int) -> None:
    assert usual_deposit_wei(cost) == expected


def test_blob_hash_is_of_the_compressed_commitment() -> None:
    # x of the generator with the flag of compression; y is the smaller root.
    compressed = bytes([GENERATOR[0] | 0x80]) + GENERATOR[1:48]
    assert blob_hash_of(GENERATOR) == b"\x01" + sha256(compressed).digest()[1:]
    # The hash of a blob of zeros, as every chain knows it.
    assert blob_hash_of(INFINITY).hex() == "010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014"


def test_burn_address_is_the_one_of_the_protocol() -> None:
    assert BURN_ADDRESS.lower() == "0x000000000000000000000000000000000000dead"
