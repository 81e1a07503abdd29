from __future__ import annotations

import numpy as np
import pytest

from omnilytics_flwr.crypto.domain import REVERSED, evaluation_weights, quotient, roots, theta
from omnilytics_flwr.crypto.exact import inner_products
from omnilytics_flwr.crypto.field import FieldVector, N, R

from .conftest import random_vector
from .plain import H, coefficients_of, evaluate, values_of

TWELVE_BIT_ONES = sum(0xFFF << 12 * i for i in range(21))
"""Every digit that the transform cuts an element into at its largest."""


def plain_theta(values: list[int]) -> list[int]:
    return values_of([i * c % R for i, c in enumerate(coefficients_of(values))])


def test_roots_are_a_blobs_domain() -> None:
    assert list(roots()) == H
    assert list(REVERSED[REVERSED]) == list(range(N))


@pytest.mark.parametrize(
    "values",
    [
        random_vector(N, seed=1).to_ints(),
        [R - 1, 0] * (N // 2),
        [TWELVE_BIT_ONES, 0] * (N // 2),
        [TWELVE_BIT_ONES if np.random.default_rng(i).random() < 0.5 else 0 for i in range(N)],
        [a | b << 84 for a, b in np.random.default_rng(2).integers(0, 1 << 37, (N, 2)).tolist()],
        [0] * (N - 1) + [1],
        [0] * N,
    ],
    ids=["uniform", "largest", "largest digits", "random largest digits", "pairs of sums", "unit", "zero"],
)
def test_theta_agrees_with_coefficients(values: list[int]) -> None:
    assert theta(FieldVector.from_ints(values)).tolist() == plain_theta(values)


@pytest.mark.parametrize("point", [0, 1, 5, R - 1, H[1], H[77], H[N - 1]])
def test_evaluation_weights_give_the_polynomials_value(point: int) -> None:
    vector = random_vector(N, seed=3)
    (value,) = inner_products([vector], evaluation_weights(point))
    assert value == evaluate(coefficients_of(vector.to_ints()), point)


@pytest.mark.parametrize("point", [0, 5, H[0], H[1], H[77]])
def test_quotient_times_the_divisor_is_the_polynomial(point: int) -> None:
    values = random_vector(N, seed=4).to_ints()
    coefficients = coefficients_of(values)
    quotient_coefficients = coefficients_of(quotient(values, point, evaluate(coefficients, point)).to_ints())
    shifted = [0, *quotient_coefficients[:-1]]
    product = [(a - point * b) % R for a, b in zip(shifted, quotient_coefficients, strict=True)]
    product[0] = (product[0] + evaluate(coefficients, point)) % R
    assert quotient_coefficients[-1] == 0
    assert product == coefficients
