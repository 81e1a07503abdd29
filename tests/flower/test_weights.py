"""A model's arrays as one vector and back: numbers of every kind are trained, constant, or refused by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from omnilytics_flwr.errors import TermsError, UpdateError
from omnilytics_flwr.flower.weights import add_flat, check_weights, difference, flatten, in_form_of, update_of
from omnilytics_flwr.market.public_part import TRAINED
from tests.flower.clients import arrays_of

CONSTANT = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

Model = dict[str, NDArray[np.generic]]


def record_of(model: Model) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in model.items()})


def arrays(dtypes: tuple[str, ...], least_dims: int = 0, **elements: object) -> st.SearchStrategy[NDArray[np.generic]]:
    """Arrays of any of these dtypes, of any shape, 0-d and empty ones included."""
    shapes = hnp.array_shapes(min_dims=least_dims, max_dims=3, min_side=0, max_side=4)
    return st.sampled_from(dtypes).flatmap(lambda dtype: hnp.arrays(np.dtype(dtype), shapes, elements=elements or None))


def models(dtypes: tuple[str, ...], **elements: object) -> st.SearchStrategy[Model]:
    return st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1, max_size=3), arrays(dtypes, **elements), max_size=5)


FINITE: dict[str, object] = {"allow_nan": False, "allow_infinity": False}
trained_models = models(TRAINED, **FINITE)


def assert_same(actual: ArrayRecord, expected: Model) -> None:
    """The same names in order, shapes and dtypes, and the same numbers to the last digit."""
    assert list(actual) == list(expected)
    for name, array in arrays_of(actual).items():
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
        assert np.array_equal(array, expected[name])


@given(trained_models)
def test_flatten_holds_every_weight_exactly_and_adding_nothing_changes_none(model: Model) -> None:
    flat = flatten(record_of(model))
    assert (flat.dtype, flat.shape) == (np.float64, (sum(array.size for array in model.values()),))
    assert flat.tolist() == [float(entry) for array in model.values() for entry in array.ravel()]
    assert_same(add_flat(record_of(model), np.zeros(flat.size)), model)


@pytest.mark.parametrize("dtype", TRAINED)
@given(data=st.data())
def test_update_of_a_step_grid_is_added_back_exactly(dtype: str, data: st.DataObject) -> None:
    """Where sums are exact in the dtype, the trained model is what comes back."""
    grid = hnp.arrays(
        np.int64, st.shared(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), elements=st.integers(-1024, 1024)
    )
    before, after = (np.asarray(data.draw(grid) / 1024, dtype=dtype) for _ in range(2))
    old, new = record_of({"w": before}), record_of({"w": after})
    assert_same(add_flat(old, flatten(new) - flatten(old)), {"w": after})


@pytest.mark.parametrize("dtype", TRAINED)
@given(data=st.data())
def test_update_is_the_difference_in_single_precision_unless_weights_are_double(dtype: str, data: st.DataObject) -> None:
    model = data.draw(models((dtype,), **FINITE))
    other = {name: np.roll(array, 1) for name, array in model.items()}
    update = update_of(record_of(other), record_of(model))
    assert update.dtype == (np.float64 if model and dtype == "float64" else np.float32)
    most = float(np.finfo(update.dtype).max)
    with np.errstate(over="ignore"):
        exact = flatten(record_of(other)) - flatten(record_of(model))
    assert np.array_equal(update, np.clip(exact, -most, most).astype(update.dtype))


@given(models((*TRAINED, *CONSTANT)), st.floats(-1, 1))
def test_constants_stay_whatever_is_added(model: Model, step: float) -> None:
    record = record_of(model)
    added = add_flat(record, np.full(flatten(record).size, step))
    assert list(added) == list(record)
    for name, array in model.items():
        if array.dtype.name in CONSTANT:
            assert added[name].data == record[name].data
        else:
            assert (added[name].numpy().dtype, added[name].numpy().shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", TRAINED)
def test_byte_order_and_layout_in_memory_change_no_weight(dtype: str, order: str) -> None:
    array = np.array([[0.5, -2.0], [3.25, 1.0]], dtype=np.dtype(dtype).newbyteorder(order))  # type: ignore[call-overload]
    for record in (record_of({"w": array}), record_of({"w": np.asfortranarray(array)})):
        assert flatten(record).tolist() == [0.5, -2.0, 3.25, 1.0]
        assert flatten(add_flat(record, np.ones(4))).tolist() == [1.5, -1.0, 4.25, 2.0]


@pytest.mark.parametrize(("dtype", "most"), [("float16", 65504.0), ("float32", float(np.finfo("float32").max))])
def test_sum_too_large_for_its_dtype_is_the_largest_number(dtype: str, most: float) -> None:
    record = record_of({"w": np.array([most, -most], dtype=dtype)})
    assert flatten(add_flat(record, np.array([most, -most]))).tolist() == [most, -most]


BFLOAT16 = Array("bfloat16", (2,), "numpy.ndarray", Array(np.zeros(2, dtype="V2")).data)
"""What an array of bfloat16 is once it is serialised: two bytes an entry, and a dtype that only its label tells."""

NEITHER: dict[str, tuple[Array, str]] = {
    "bfloat16": (BFLOAT16, "'w' is bfloat16, expected .* send it as float32"),
    "complex": (Array(np.zeros(2, dtype="complex64")), "'w' is complex64, expected .* real and imaginary part as two arrays"),
    "text": (Array(np.array(["a", "bc"])), "'w' is str64, expected .* send it as float64"),
    "times": (Array(np.zeros(2, dtype="datetime64[s]")), r"'w' is datetime64\[s\], expected .* private part"),
    "records": (Array(np.zeros(2, dtype=[("x", "f4"), ("y", "i4")])), "'w' is .*, expected .* private part"),
}


@pytest.mark.parametrize("use", [flatten, lambda record: add_flat(record, np.zeros(2)), lambda record: check_weights(record, 2)])
@pytest.mark.parametrize("case", NEITHER)
def test_what_can_be_neither_is_refused_by_name_with_a_remedy(case: str, use: Callable[[ArrayRecord], object]) -> None:
    array, reason = NEITHER[case]
    with pytest.raises(UpdateError, match=reason):
        use(ArrayRecord({"first": Array(np.zeros(1)), "w": array}))


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="this machine's long double is a float64")
def test_long_double_is_refused() -> None:
    with pytest.raises(UpdateError, match=f"'w' is {np.dtype(np.longdouble).name}, expected float16, float32, float64"):
        flatten(record_of({"w": np.zeros(2, dtype=np.longdouble)}))


def test_form_of_the_task_gives_dtypes_and_constants_back_and_leaves_what_the_task_has_not() -> None:
    task = {
        "w": np.array([1.0, 2.0], dtype="float32"),
        "half": np.array(0.5, dtype="float16"),
        "counter": np.array(7),
        "mask": np.array([True, False]),
        "none": np.zeros((0, 3), dtype="float32"),
    }
    made = {name: np.asarray(array * np.float64(0.5)) for name, array in task.items()}
    assert {array.dtype.name for array in made.values()} == {"float64"}
    more = {"more": np.ones(1, dtype="float16")}
    formed = in_form_of(record_of(made | more), record_of(task))
    half = {name: np.asarray(array * 0.5, dtype=array.dtype) for name, array in task.items()}
    assert_same(formed, half | {"counter": task["counter"], "mask": task["mask"]} | more)


def test_weights_are_checked_against_the_terms_with_names() -> None:
    model = record_of({"a": np.zeros((2, 3)), "n": np.array(3), "b": np.zeros(0, dtype="float32"), "c": np.zeros((), dtype="float16")})
    check_weights(model, 7)
    large, infinite = ArrayRecord([np.zeros(1)] * 10), record_of({"a": np.zeros(1), "b": np.array([0.0, -np.inf], dtype="float16")})
    for public, agreed, reason in (
        (model, 8, r"7 weights, .* say 8; .* weights=7 .*: a 6, b 0, c 1\. .*: n$"),
        (large, 1, r"0 1, 1 1, .*7 1 and 2 more\. .*: none$"),
        (infinite, 3, "'b' holds numbers that are not finite"),
    ):
        with pytest.raises(TermsError, match=reason):
            check_weights(public, agreed)


EXPECTED: Model = {"a": np.zeros(2, "float32"), "b": np.array(1)}


@pytest.mark.parametrize(
    ("actual", "clause"),
    [
        (EXPECTED, ""),
        ({"a": np.zeros(2, "float64"), "b": np.array(1)}, r"'a' is float64 of shape (2,), expected float32 of shape (2,)"),
        ({"a": np.zeros(2, "float32"), "b": np.array([1])}, r"'b' is int64 of shape (1,), expected int64 of shape ()"),
        ({"b": np.array(1), "a": np.zeros(2, "float32")}, r"'b' came where 'a' was expected"),
        ({"a": np.zeros(2, "float32")}, "1 parameters came, expected 2"),
    ],
)
def test_difference_names_the_parameter(actual: Model, clause: str) -> None:
    found = difference(record_of(actual), record_of(EXPECTED))
    assert found.endswith(clause)
    assert bool(found) == bool(clause)


def test_difference_looks_at_the_arrays_and_not_at_what_they_say() -> None:
    model = record_of(EXPECTED)
    liar = ArrayRecord({name: Array("float64", (1,), array.stype, array.data) for name, array in model.items()})
    swapped = Array(model["a"].dtype, model["a"].shape, model["a"].stype, Array(np.zeros(7, "float32")).data)
    assert not difference(liar, model)
    assert difference(ArrayRecord({**model, "a": swapped}), model)
