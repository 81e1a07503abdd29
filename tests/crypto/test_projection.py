"""The projection: against the plain twin, linear over masks, and true to lengths."""

from __future__ import annotations

import numpy as np
import pytest

from omnilytics_flwr.crypto.curve import encode_point, parse_points
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import pack, unpack
from omnilytics_flwr.crypto.kzg import commit, sum_points
from omnilytics_flwr.crypto.projection import COPIES, project, projection_seed

from . import plain
from .conftest import random_vector, sparse_vector

SEED = projection_seed(b"\x01" * 32, b"\x02" * 32)


def test_projection_seed_binds_context_and_roster() -> None:
    assert SEED == plain.hash256(plain.hash256(b"OmniLytics/v2/projection"), b"\x01" * 32, b"\x02" * 32)


@pytest.mark.parametrize("polynomials", [1, 3])
def test_project_any_vector_agrees_with_the_plain_twin(polynomials: int) -> None:
    vector = random_vector(N * polynomials, seed=polynomials)

    assert project(vector, SEED).to_ints() == plain.project(vector.to_ints(), SEED)


def test_project_is_linear_so_that_masks_cancel() -> None:
    mask, update = random_vector(2 * N, seed=1), random_vector(2 * N, seed=2)

    assert project(update + mask, SEED) - project(mask, SEED) == project(update, SEED)
    assert project(FieldVector.zeros(2 * N), SEED) == FieldVector.zeros(N)


@pytest.mark.parametrize("place", [0, 1023, 1024, N - 1, N, 2 * N + 17])
def test_project_single_weight_keeps_its_length_exactly(place: int) -> None:
    """Rotations of a polynomial differ, by the piece that each is drawn from: a repeated one would be wrong by a quarter or more."""
    for number in range(50):
        projected = project(sparse_vector(3 * N, {place: 5}), bytes([number]) * 32).to_ints()

        assert sorted(min(value, R - value) for value in projected if value) == [5] * COPIES


@pytest.mark.parametrize("kind", ["normal", "heavy", "one layer"])
def test_project_keeps_squared_lengths_within_a_few_percent(kind: str) -> None:
    rng = np.random.default_rng(5)
    ratios = []
    for number in range(20):
        units = {
            "normal": rng.normal(size=8 * N) * 1000,
            "heavy": rng.standard_t(3, 8 * N) * 1000,
            "one layer": np.where(np.arange(8 * N) < 300, rng.normal(size=8 * N) * 1000, 0),
        }[kind].astype(np.int64)
        projected = unpack(project(pack(units), bytes([number]) * 32), members=1, bits=32)
        assert projected is not None
        ratios.append(float((projected.astype(float) ** 2).sum() / (units.astype(float) ** 2).sum()))

    assert abs(np.mean(ratios) / COPIES - 1) < 0.03
    assert np.std(ratios) / COPIES < 0.06


def test_commitment_of_a_projection_adds_over_members() -> None:
    vectors = [random_vector(2 * N, seed=i) for i in range(3)]

    rows = [parse_points(commit(project(vector, SEED)), 1) for vector in vectors]

    assert b"".join(map(encode_point, sum_points(rows))) == commit(project(FieldVector.total(vectors), SEED))
