"""Public and private part of a model's arrays, and the vector that the public part is."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord

from omnilytics_flwr.flower.weights import Parts, add_flat, flatten, same_shapes
from tests.flower.play import (
    SHAPES,
    arrays_of,
    make_model,
    plain_model,
)


@pytest.mark.parametrize(
    ("patterns", "private"),
    [
        ((), set()),
        (("head.*",), {"head.weight"}),
        (("*.bias", "head.weight"), {"body.bias", "head.weight"}),
        (("body.*",), {"body.weight", "body.bias"}),
    ],
)
def test_split_and_join_give_the_model_back_in_order(patterns: tuple[str, ...], private: set[str]) -> None:
    model = make_model()
    parts = Parts.of(model, patterns)
    public, kept = parts.split(model)
    assert set(kept) == private
    assert [name for name in SHAPES if name not in private] == list(public)
    joined = parts.join(public, kept)
    assert list(joined) == list(SHAPES)
    assert {n: a.data for n, a in joined.items()} == {n: a.data for n, a in model.items()}


def test_parts_of_plain_flower_arrays_go_by_their_numbers() -> None:
    public, private = Parts.of(plain_model(), ("2",)).split(plain_model())
    assert (list(public), list(private)) == (["0", "1"], ["2"])


def test_flatten_is_every_entry_in_order_as_float64() -> None:
    model = make_model()
    flat = flatten(model)
    assert (flat.dtype, flat.shape) == (np.float64, (42,))
    assert np.array_equal(flat, np.concatenate([a.astype(np.float64).ravel() for a in arrays_of(model).values()]))


def test_flatten_reads_fortran_order_as_the_array_has_it() -> None:
    array = np.asfortranarray(np.arange(6, dtype="float32").reshape(2, 3))
    assert np.array_equal(flatten(ArrayRecord({"a": Array(array)})), np.arange(6))


def test_flatten_nothing_is_empty() -> None:
    assert flatten(ArrayRecord()).shape == (0,)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_add_flat_adds_in_float64_and_keeps_shape_and_dtype(dtype: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {"a": (2, 3), "scalar": (), "none": (0,), "b": (4,)}
    model = ArrayRecord({name: Array(np.ones(shape, dtype=dtype)) for name, shape in shapes.items()})
    update = np.arange(11, dtype=np.float64) / 8
    summed = add_flat(model, update)
    assert {name: array.shape for name, array in arrays_of(summed).items()} == shapes
    assert all(array.dtype == dtype for array in arrays_of(summed).values())
    assert np.array_equal(flatten(summed), 1 + update)


def test_add_flat_undoes_flatten() -> None:
    before, after = make_model(1, "float64"), make_model(2, "float64")
    summed = add_flat(before, flatten(after) - flatten(before))
    for name in SHAPES:
        np.testing.assert_allclose(summed[name].numpy(), after[name].numpy(), rtol=0, atol=1e-15)


def test_same_shapes_looks_at_the_arrays_and_not_at_what_they_say() -> None:
    model = make_model()
    assert same_shapes(model, make_model(5))
    liar = ArrayRecord({n: Array("float64", (1,), a.stype, a.data) for n, a in model.items()})
    assert same_shapes(model, liar)
    other = {n: Array(a.dtype, a.shape, a.stype, Array(np.zeros(7, "float32")).data) for n, a in model.items()}
    assert not same_shapes(model, ArrayRecord(other))
