from __future__ import annotations

from collections.abc import Callable

import ckzg
import pytest

from omnilytics_flwr.crypto.domain import roots
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.kzg import opens, prove_opening

from ..support import bad_inputs
from . import plain
from .rounds import random_vector

VALUES = random_vector(N, seed=11).to_ints()
POINTS = [0, 1, 12345, R - 1, roots()[1], roots()[4000]]


@pytest.fixture(scope="module")
def commitment() -> bytes:
    return plain.commitment(VALUES)


@pytest.mark.parametrize("point", POINTS)
def test_prove_opening_agrees_with_c_kzg(point: int) -> None:
    proof, value = plain.opening(VALUES, point)

    assert prove_opening(FieldVector.from_ints(VALUES), point, value) == proof


@pytest.mark.parametrize("point", [0, 12345, roots()[4000]])
def test_opens_right_and_wrong_openings_agree_with_c_kzg(commitment: bytes, point: int) -> None:
    proof, value = plain.opening(VALUES, point)
    claims = [
        (commitment, point, value, proof),
        (commitment, point, (value + 1) % R, proof),
        (commitment, (point + 1) % R, value, proof),
        (commitment, point, value, commitment),
        (plain.commitment([0] * N), point, value, proof),
    ]

    answers = [opens(*claim) for claim in claims]

    assert answers == [True, False, False, False, False]
    assert answers == [ckzg.verify_kzg_proof(c, plain.words([z]), plain.words([y]), p, plain.setup()) for c, z, y, p in claims]


def test_opens_a_constant_with_the_proof_at_infinity() -> None:
    infinity = bytes([0xC0]) + bytes(47)
    constant = plain.commitment([7] * N)

    assert opens(constant, 99, 7, infinity)
    assert not opens(constant, 99, 8, infinity)
    assert opens(infinity, 99, 0, infinity)


@pytest.mark.parametrize(
    "bad",
    [b"", bytes(48), b"\xff" * 48, bytes([0xE0]) + bytes(47), bytes([0xC0]) + bytes(46) + b"\1", bytes([0x80]) + bytes(47)],
    ids=["empty", "zeros", "ones", "infinity with a sign", "infinity and more", "outside the subgroup"],
)
def test_opens_what_is_no_point_is_false(commitment: bytes, bad: bytes) -> None:
    proof, value = plain.opening(VALUES, 5)

    assert not opens(bad, 5, value, proof)
    assert not opens(commitment, 5, value, bad)


@pytest.mark.parametrize("change", [bad_inputs.short_by_one, bad_inputs.long_by_one])
def test_opens_with_another_length_is_false(commitment: bytes, change: Callable[[bytes], bytes]) -> None:
    proof, value = plain.opening(VALUES, 5)

    assert not opens(change(commitment), 5, value, proof)
    assert not opens(commitment, 5, value, change(proof))
