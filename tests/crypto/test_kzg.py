from __future__ import annotations

import subprocess
import sys

import pytest

from omnilytics_flwr.crypto import ceremony
from omnilytics_flwr.crypto.curve import encode_point, parse_points
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.kzg import commit, matches_all, mismatched, points_digest, sum_points
from omnilytics_flwr.errors import ToolMissing

from . import plain
from .rounds import random_vector, sparse_vector


@pytest.mark.parametrize(
    "values",
    [random_vector(N, seed=1).to_ints(), [0] * N, [R - 1] * N, [0] * (N - 1) + [1], list(range(N))],
    ids=["uniform", "zero", "largest", "last", "ascending"],
)
def test_commit_agrees_with_c_kzg(values: list[int]) -> None:
    assert commit(FieldVector.from_ints(values)) == plain.uncompress(plain.commitment(values))


def test_commit_many_polynomials_are_points_in_a_row() -> None:
    vector = random_vector(3 * N, seed=2)

    points = commit(vector)

    assert points == b"".join(commit(polynomial) for polynomial in vector.polynomials())
    assert points_digest(points) == plain.hash256(points)


def test_sum_points_is_the_commitment_of_the_sum() -> None:
    vectors = [random_vector(2 * N, seed=i) for i in range(3)]

    total = sum_points([parse_points(commit(vector), 2) for vector in vectors])

    assert b"".join(map(encode_point, total)) == commit(FieldVector.total(vectors))


def test_mismatched_finds_exactly_the_wrong_vectors() -> None:
    vectors = [random_vector(2 * N, seed=i) for i in range(5)]
    points = [parse_points(commit(vector), 2) for vector in vectors]
    one_off = sparse_vector(2 * N, {2 * N - 1: 1})

    changed = [vector + one_off if i in (1, 4) else vector for i, vector in enumerate(vectors)]

    assert mismatched(vectors, points) == []
    assert matches_all(vectors, points)
    assert not matches_all(changed, points)
    assert mismatched(changed, points) == [1, 4]


def test_mismatched_errors_that_cancel_are_still_seen() -> None:
    vectors = [random_vector(N, seed=i) for i in range(2)]
    points = [parse_points(commit(vector), 1) for vector in vectors]
    one_off = sparse_vector(N, {0: 1})

    assert mismatched([vectors[0] + one_off, vectors[1] - one_off], points) == [0, 1]
    assert mismatched(vectors, points[::-1]) == [0, 1]


def test_mismatched_with_another_number_of_points_is_wrong() -> None:
    vector = random_vector(N, seed=3)
    (point,) = parse_points(commit(vector), 1)

    assert mismatched([vector], [(point, point)]) == [0]
    assert mismatched([vector], [()]) == [0]
    assert mismatched([], []) == []


def test_commit_loads_neither_eth_account_nor_c_kzg() -> None:
    code = (
        "import sys; from omnilytics_flwr.crypto.kzg import commit;"
        "from omnilytics_flwr.crypto.field import FieldVector; commit(FieldVector.zeros(4096));"
        "print([name for name in ('eth_account', 'ckzg', 'web3', 'torch', 'flwr') if name in sys.modules])"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout.strip() == "[]"


def test_lagrange_points_of_another_ceremony_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ceremony._read()
    first, second = text.split()[2:4]
    monkeypatch.setattr(ceremony, "_read", lambda: text.replace(first, "-").replace(second, first).replace("-", second))

    with pytest.raises(ToolMissing, match="other points"):
        ceremony.lagrange_points.__wrapped__()


def test_lagrange_points_without_eth_account_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceremony, "find_spec", lambda name: None)

    with pytest.raises(ToolMissing, match="install eth-account"):
        ceremony.tau_g2.__wrapped__()
