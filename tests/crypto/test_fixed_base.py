"""Tables of fixed points against the multi-exponentiation that knows no tables."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import ckzg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_arkworks_bls12381 import G1Point, Scalar

from omnilytics_flwr.crypto.curve import multiply_sum
from omnilytics_flwr.crypto.field import FieldVector, R
from omnilytics_flwr.crypto.fixed_base import FixedBase

POINTS = tuple(G1Point() * Scalar(7**i) for i in range(9))


@pytest.fixture(scope="module")
def tables() -> FixedBase:
    built = FixedBase.build(POINTS)
    if built is None:
        pytest.skip("this c-kzg exports no blst")
    return built


@given(st.lists(st.integers(0, R - 1) | st.sampled_from([0, 1, R - 1, 4095, 4096, 1 << 252, (1 << 64) - 1]), min_size=9, max_size=9))
@settings(deadline=None)
def test_multiply_sum_agrees_with_arkworks(tables: FixedBase, numbers: list[int]) -> None:
    scalars = FieldVector.from_ints(numbers)
    assert tables.multiply_sum(scalars) == multiply_sum(POINTS, scalars)


def test_multiply_sum_that_cancels_is_the_point_at_infinity() -> None:
    both = FixedBase.build((POINTS[1], -POINTS[1]))
    assert both is None or both.multiply_sum(FieldVector.from_ints([R - 5, R - 5])) == G1Point.identity()


def test_multiply_sum_beside_other_threads(tables: FixedBase) -> None:
    vectors = [FieldVector.from_ints([i + j for j in range(9)]) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tables.multiply_sum, vectors)) == [multiply_sum(POINTS, vector) for vector in vectors]


@pytest.mark.parametrize(
    "library", ["/nowhere/ckzg.so", sys.modules["py_arkworks_bls12381.py_arkworks_bls12381"].__file__], ids=["no file", "no blst in it"]
)
def test_build_where_blst_cannot_be_called_is_none(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setattr(ckzg, "__file__", library)
    assert FixedBase.build(POINTS) is None
