from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.errors import NotCanonical, WrongLength

from ..support import bad_inputs

WORDS = [1 << 64 * i for i in range(1, 4)]
EDGES = [0, 1, 2, R - 1, R - 2, R // 2, R // 2 + 1, *WORDS, *(word - 1 for word in WORDS)]
ELEMENTS = st.one_of(st.sampled_from(EDGES), st.integers(0, R - 1))
PAIRS = st.lists(st.tuples(ELEMENTS, ELEMENTS), min_size=1, max_size=20)


@given(PAIRS)
@example([(a, b) for a in EDGES for b in EDGES])
def test_add_subtract_negate_any_elements_agree_with_integers(pairs: list[tuple[int, int]]) -> None:
    left, right = (FieldVector.from_ints(column) for column in zip(*pairs, strict=True))
    assert (left + right).to_ints() == [(a + b) % R for a, b in pairs]
    assert (left - right).to_ints() == [(a - b) % R for a, b in pairs]
    assert (-left).to_ints() == [-a % R for a, _ in pairs]


@given(st.lists(ELEMENTS, max_size=20))
def test_bytes_there_and_back_are_big_endian_words(values: list[int]) -> None:
    vector = FieldVector.from_ints(values)
    raw = vector.to_bytes()
    assert raw == b"".join(value.to_bytes(32, "big") for value in values)
    assert FieldVector.from_bytes(raw, len(values)) == vector
    assert vector.to_ints() == values


@pytest.mark.parametrize("name", bad_inputs.CANONICAL_WORDS)
def test_from_bytes_canonical_word_is_taken(name: str) -> None:
    raw = bad_inputs.CANONICAL_WORDS[name]
    assert FieldVector.from_bytes(raw, 1).to_ints() == [int.from_bytes(raw, "big")]


@pytest.mark.parametrize("name", bad_inputs.NON_CANONICAL_WORDS)
@pytest.mark.parametrize("index", [0, 2])
def test_from_bytes_not_canonical_word_names_the_first(name: str, index: int) -> None:
    word = bad_inputs.NON_CANONICAL_WORDS[name]
    raw = bad_inputs.MODULUS_MINUS_ONE * index + word + bad_inputs.ONE + bad_inputs.MODULUS
    with pytest.raises(NotCanonical) as refusal:
        FieldVector.from_bytes(raw, index + 3)
    assert (refusal.value.index, refusal.value.value) == (index, int.from_bytes(word, "big"))


@pytest.mark.parametrize("change", [bad_inputs.short_by_one, bad_inputs.long_by_one, lambda raw: b"", lambda raw: raw + raw])
def test_from_bytes_of_wrong_length_names_both_lengths(change: Callable[[bytes], bytes]) -> None:
    raw = change(bytes(64))
    with pytest.raises(WrongLength) as refusal:
        FieldVector.from_bytes(raw, 2)
    assert (refusal.value.actual, refusal.value.expected) == (len(raw), 64)


@pytest.mark.parametrize("value", [-1, R, R + 1, 1 << 256])
def test_from_ints_out_of_the_field_raises(value: int) -> None:
    with pytest.raises(NotCanonical) as refusal:
        FieldVector.from_ints([0, value])
    assert (refusal.value.index, refusal.value.value) == (1, value)


def test_add_of_other_length_raises() -> None:
    with pytest.raises(WrongLength):
        FieldVector.zeros(2) + FieldVector.zeros(1)


def test_total_of_many_is_the_sum_of_all() -> None:
    vectors = [FieldVector.from_ints([R - 1 - i, i]) for i in range(50)]
    total = FieldVector.total(vectors)
    assert total.to_ints() == [sum(R - 1 - i for i in range(50)) % R, sum(range(50))]


def test_polynomials_cut_a_vector_into_blobs() -> None:
    vector = FieldVector.from_ints(range(2 * N))
    first, second = vector.polynomials()
    assert first.to_ints() == list(range(N))
    assert second.to_ints() == list(range(N, 2 * N))


def test_vector_cannot_be_changed() -> None:
    vector = FieldVector.zeros(1)
    with pytest.raises(ValueError, match="read-only"):
        vector.limbs[0, 0] = 1
