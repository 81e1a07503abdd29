"""Attacks on a vector of field elements: out of range where they say so, and noticed by what should notice them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.adversary.vectors import IMAGINARY, HalfOutOfRange, Isotropic, OutOfRange, Unmasked, VectorAttack, add_at
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import pack, quantise
from omnilytics_flwr.crypto.masks import Pad
from omnilytics_flwr.crypto.statement import distance_of
from omnilytics_flwr.errors import TermsError
from tests.crypto import plain

BITS, WEIGHTS, MEMBERS = 16, 8000, 3


def honest_vector(seed: int) -> FieldVector:
    update = np.random.default_rng(seed).normal(0.0, 0.1, WEIGHTS)
    return pack(quantise(update, weights=WEIGHTS, bits=BITS, clip=0.5, key=bytes([seed % 256]) * 32))


def group_sum(seed: int, attack: VectorAttack | None) -> FieldVector:
    """Sum of three masked vectors, of which the first is attacked."""
    first, second, third = (honest_vector(seed + place) for place in range(MEMBERS))
    one, two = (Pad(bytes([seed % 251, place]) + bytes(30)).read(N) for place in range(2))
    masked = [first + one + two, second - one, third - two]
    return FieldVector.total([attack(masked[0]) if attack else masked[0], *masked[1:]])


def out_of_range(vector: FieldVector) -> int | None:
    return plain.first_out_of_range(vector.to_ints(), members=MEMBERS, bits=BITS)


def distance(one: FieldVector, other: FieldVector) -> int:
    """Squared distance in the field, which is all that a proof of distances is about."""
    return sum((a - b) ** 2 for a, b in zip(one.to_ints(), other.to_ints(), strict=True)) % R


def test_imaginary_is_a_root_of_minus_one() -> None:
    assert pow(IMAGINARY, 2, R) == R - 1


@settings(max_examples=20)
@given(seed=st.integers(0, 200), element=st.integers(0, N - 1), bits=st.integers(19, 253))
def test_out_of_range_puts_just_its_element_out_of_range(seed: int, element: int, bits: int) -> None:
    honest, attacked = group_sum(seed, None), group_sum(seed, OutOfRange(element, bits))
    assert out_of_range(honest) is None
    assert out_of_range(attacked) == element or 64 <= bits < 103, "a multiple of 2^84 may look like the other weight of the element"
    assert [i for i, (a, b) in enumerate(zip(honest.to_ints(), attacked.to_ints(), strict=True)) if a != b] == [element]


@settings(max_examples=10)
@given(seed=st.integers(0, 200), bits=st.integers(120, 252))
def test_isotropic_sum_is_out_of_range_and_as_near_as_the_other_sums_agree_in_its_places(seed: int, bits: int) -> None:
    honest, attacked, other = group_sum(seed, None), group_sum(seed, Isotropic(bits=bits)), group_sum(seed + 3, None)
    assert out_of_range(attacked) == N - 2
    assert distance(attacked, honest) == 0
    alike = add_at(other, {place: honest.to_ints()[place] - other.to_ints()[place] for place in (-2, -1)})
    assert distance(attacked, alike) == distance(honest, alike)
    assert distance(attacked, other) != distance(honest, other) or other.to_ints()[-2:] == honest.to_ints()[-2:]


@given(seed=st.integers(0, 200), element=st.integers(0, N - 1))
@settings(max_examples=10)
def test_half_out_of_range_is_out_of_range_though_the_proof_reads_no_distance_where_sums_agree(seed: int, element: int) -> None:
    honest, attacked = group_sum(seed, None), group_sum(seed, HalfOutOfRange(element))
    assert out_of_range(attacked) == element
    assert distance_of(distance(attacked, honest)) == 0


def test_two_elements_that_are_not_isotropic_are_far_from_everybody() -> None:
    def plain(vector: FieldVector) -> FieldVector:
        return add_at(vector, {-2: 1 << 200, -1: 1 << 200})

    honest, attacked, other = group_sum(1, None), group_sum(1, plain), group_sum(4, None)
    assert distance(attacked, other) != distance(honest, other)


@settings(max_examples=10)
@given(seed=st.integers(0, 200), other=st.integers(1, 100))
def test_unmasked_makes_the_groups_sum_noise(seed: int, other: int) -> None:
    attacked = group_sum(seed, Unmasked(other))
    assert out_of_range(attacked) is not None
    assert np.mean(attacked.limbs[:, 3] > 0) > 0.99
    assert attacked == group_sum(seed, Unmasked(other))
    assert attacked != group_sum(seed, Unmasked(other + 1))


@given(st.dictionaries(st.integers(-4, 3), st.integers(-(2**260), 2**260), max_size=4))
def test_add_at_adds_modulo_the_order(changes: dict[int, int]) -> None:
    values = [R - 1, 0, 5, 1 << 200]
    by_index: dict[int, int] = {}
    for index, value in changes.items():
        by_index[index % 4] = value  # the last one given for a place counts
    expected = [(value + by_index.get(index, 0)) % R for index, value in enumerate(values)]
    assert add_at(FieldVector.from_ints(values), changes).to_ints() == expected


def test_element_or_bits_that_there_are_not_are_refused() -> None:
    with pytest.raises(TermsError, match="element 4 is none"):
        OutOfRange(4)(FieldVector.zeros(4))
    for bits in (-1, 254):
        with pytest.raises(TermsError, match="bits is"):
            OutOfRange(bits=bits)
        with pytest.raises(TermsError, match="bits is"):
            Isotropic(bits=bits)
