from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.crypto.exact import combine, exact_distances, field_gram, gram, inner_products, join_digits
from omnilytics_flwr.crypto.field import FieldVector, R

from . import plain
from .conftest import random_vector

EXTREMES = [2**36 - 1, -(2**36) + 1, 2**18, -(2**18), 2**18 - 1, -1, 0, 1]


def plain_gram(rows: np.ndarray) -> list[list[int]]:  # type: ignore[type-arg]
    return [[sum(int(a) * int(b) for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32))
def test_gram_any_rows_agree_with_integers(count: int, length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    extreme, any_values = rng.choice(EXTREMES, (count, length)), rng.integers(-(2**36) + 1, 2**36, (count, length))
    rows = np.where(rng.random((count, length)) < 0.5, extreme, any_values)
    assert gram(rows) == plain_gram(rows)


@pytest.mark.parametrize("value", [2**36 - 1, -(2**36) + 1])
@pytest.mark.parametrize("count", [1, 12])
def test_gram_largest_values_in_many_columns_is_exact(value: int, count: int) -> None:
    length = 100_003
    assert gram(np.full((count, length), value)) == [[value * value * length] * count] * count


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 130])
def test_combine_many_vectors_agrees_with_integers(count: int) -> None:
    vectors = [random_vector(5, seed=i) for i in range(count)]
    coefficients = random_vector(count, seed=99).to_ints()
    combined = combine(vectors, coefficients)
    columns = zip(*(vector.to_ints() for vector in vectors), strict=True)
    assert combined.to_ints() == [sum(c * v for c, v in zip(coefficients, column, strict=True)) % R for column in columns]


def test_combine_largest_elements_is_exact() -> None:
    vectors = [FieldVector.from_ints([R - 1, (1 << 254) - 1])] * 200
    combined = combine(vectors, [R - 1] * 200)
    assert combined.to_ints() == [200 % R, -200 * ((1 << 254) - 1) % R]


@pytest.mark.parametrize("length", [1, 511, 512, 513, 4096])
def test_inner_products_agree_with_integers(length: int) -> None:
    vectors = [random_vector(length, seed=i) for i in range(3)] + [FieldVector.from_ints([R - 1] * length)]
    weights = random_vector(length, seed=9)
    products = inner_products(vectors, weights)
    assert products == [sum(a * b for a, b in zip(v.to_ints(), weights.to_ints(), strict=True)) % R for v in vectors]


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_join_digits_that_overflow_carries(bits: int) -> None:
    columns = np.array([[2**62, 0, 5], [2**62, 2**bits, 0], [2**62 - 1, 0, 0]])
    assert join_digits(columns, bits) == [sum(int(c) << bits * t for t, c in enumerate(column)) for column in columns.T]


@pytest.mark.parametrize("length", [1, 511, 513, 4096])
def test_field_gram_agrees_with_integers(length: int) -> None:
    vectors = [random_vector(length, seed=i) for i in range(3)] + [FieldVector.from_ints([R - 1] * length)]
    rows = [vector.to_ints() for vector in vectors]

    assert field_gram(vectors) == [[sum(a * b for a, b in zip(x, y, strict=True)) % R for y in rows] for x in rows]


def test_exact_distances_agree_with_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnilytics_flwr.crypto.exact._COLUMNS_AT_ONCE", 7)
    sizes, rng = (3, 4, 3), np.random.default_rng(8)
    sums = [rng.integers(-(2**31), 2**31, 50) for _ in sizes]

    assert exact_distances(sums, sizes) == tuple(plain.squared_distances([row.tolist() for row in sums], sizes))
    assert exact_distances([], ()) == ()
