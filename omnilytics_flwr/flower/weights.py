"""The weights of a model: its arrays as one vector and back.

`market.public_part` tells constants from weights. Constants travel and are hashed with the task, and stay as the model owner has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from ..errors import TermsError, UpdateError
from ..market.public_part import is_trained
from .wire import named_arrays

LISTED = 8
"""Most parameters that an error lists."""


def flatten(arrays: ArrayRecord) -> NDArray[np.float64]:
    """All d weights in a row, exactly, without the constants; raises `UpdateError` for an array that can be neither."""
    flat = [array.astype(np.float64).ravel() for _, array, trained in _told_apart(arrays) if trained]
    return np.concatenate(flat) if flat else np.zeros(0)


def check_finite(arrays: ArrayRecord) -> None:
    """Raise `UpdateError` for a weight that is not finite, by the name of its parameter."""
    for name, array, trained in _told_apart(arrays):
        wrong = np.flatnonzero(~np.isfinite(array)) if trained else np.zeros(0)
        if wrong.size:
            raise UpdateError(
                f"entry {wrong[0]} of parameter {name!r} is {array.ravel()[wrong[0]]} ({wrong.size} of {array.size} are not finite), "
                "expected finite numbers; lower the learning rate or look at the data"
            )


def update_of(new: ArrayRecord, old: ArrayRecord) -> NDArray[np.floating]:
    """How training changed all d weights, in a row.

    Returns
    -------
    array, shape (d,), finite if all weights are
        Of float64 if a parameter is, else of float32, whose rounding error is far below a step of the quantisation. A change that is too
        large for it becomes its largest number.
    """
    changes = [np.zeros(0, dtype=np.float32)]
    for (_, array, trained), (_, before, _) in zip(_told_apart(new), _told_apart(old), strict=True):
        if trained:
            dtype = np.float64 if array.dtype.itemsize == 8 else np.float32
            with np.errstate(over="ignore"):
                change = np.subtract(array, before, dtype=dtype, casting="same_kind").ravel()
            changes.append(np.clip(change, np.finfo(dtype).min, np.finfo(dtype).max, out=change))
    return np.concatenate(changes)


def cut_by(clip: float, update: NDArray[np.floating], arrays: ArrayRecord) -> list[tuple[str, float, float]]:
    """Parameters of which a clip cuts changes: name, share of the entries that are cut, largest change; the largest share first.

    Parameters
    ----------
    update : array, shape (d,)
        Of the weights of `arrays`.
    """
    cut, start = [], 0
    for name, array, trained in _told_apart(arrays):
        if trained and array.size:
            changes = np.abs(update[start : start + array.size])
            start += array.size
            if (most := float(changes.max())) > clip:
                cut.append((name, float((changes > clip).mean()), most))
    return sorted(cut, key=lambda one: -one[1])


def shares_cut(cut: Iterable[tuple[str, float, float]], arrays: ArrayRecord) -> tuple[float, dict[str, float]]:
    """Of what `cut_by` found: the share of all weights, and of those of each parameter, 0 where nothing is cut."""
    sizes = {name: array.size for name, array, trained in _told_apart(arrays) if trained}
    shares = dict.fromkeys(sizes, 0.0) | {name: share for name, share, _ in cut}
    return sum(share * sizes[name] for name, share in shares.items()) / max(sum(sizes.values()), 1), shares


def add_flat(arrays: ArrayRecord, update: NDArray[np.float64]) -> ArrayRecord:
    """`arrays` plus `update`, shape (d,), each array in its own dtype; constants stay as they are."""
    summed: dict[str, Array] = {}
    start = 0
    for name, array, trained in _told_apart(arrays):
        if not trained:
            summed[name] = arrays[name]
            continue
        part = update[start : start + array.size].reshape(array.shape)
        summed[name] = Array(_narrowed(array.astype(np.float64) + part, array.dtype))
        start += array.size
    return ArrayRecord(summed)


def in_form_of(arrays: ArrayRecord, task: ArrayRecord) -> ArrayRecord:
    """`arrays` with the dtypes and the constants of `task`.

    Strategies average whole numbers to fractions, and some turn float32 into float64; a client that loads them into its model
    then replies with other dtypes than it was sent.
    """
    constants = {name for name, _, trained in _told_apart(task) if not trained}
    formed: dict[str, Array] = {}
    for name, array in named_arrays(arrays):
        wanted = task[name].numpy().dtype if name in task else array.dtype
        if name in constants:
            formed[name] = task[name]
        else:
            formed[name] = arrays[name] if array.dtype == wanted else Array(_narrowed(array.astype(np.float64), wanted))
    return ArrayRecord(formed)


def check_weights(public: ArrayRecord, agreed: int) -> None:
    """Refuse a public part that is not what the terms say, before anything is anchored.

    Raises
    ------
    TermsError
        Another number of weights than `agreed`, or one that is not finite.
    UpdateError
        An array can be neither trained nor constant.
    """
    told = list(_told_apart(public))
    trained = {name: array for name, array, is_trained in told if is_trained}
    actual = sum(array.size for array in trained.values())
    if actual != agreed:
        names = [f"{name} {array.size:,}" for name, array in trained.items()]
        listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
        constants = ", ".join(name for name, _, is_trained in told if not is_trained)
        raise TermsError(
            f"the public part has {actual} weights, the market's terms say {agreed}; create a market for this model, with weights={actual} "
            f"in its terms, or look at the private patterns. Weights by parameter: {listed or 'none'}. "
            f"Constant, because they are whole numbers or truth values: {constants or 'none'}"
        )
    for name, array in trained.items():
        if not np.isfinite(array).all():
            raise TermsError(
                f"parameter {name!r} holds numbers that are not finite; expected a model that can be trained; start from another"
            )


def difference(actual: ArrayRecord, expected: ArrayRecord) -> str:
    """What two records' names, shapes or dtypes first differ in, as a clause; empty if in nothing."""
    first, second = ([(name, array.shape, array.dtype) for name, array in named_arrays(record)] for record in (actual, expected))
    for (name, shape, dtype), (wanted_name, wanted_shape, wanted_dtype) in zip(first, second, strict=False):
        if name != wanted_name:
            return f"parameter {name!r} came where {wanted_name!r} was expected"
        if (shape, dtype) != (wanted_shape, wanted_dtype):
            return f"parameter {name!r} is {dtype.name} of shape {shape}, expected {wanted_dtype.name} of shape {wanted_shape}"
    return "" if len(first) == len(second) else f"{len(first)} parameters came, expected {len(second)}"


def _told_apart(arrays: ArrayRecord) -> Iterator[tuple[str, NDArray[np.generic], bool]]:
    """Names and arrays in order, and whether each is trained."""
    for name, array in named_arrays(arrays):
        yield name, array, is_trained(name, array, label=arrays[name].dtype)


def _narrowed(values: NDArray[np.float64], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """`values` in a dtype of floating point numbers; what is too large for it becomes its largest number."""
    most = float(np.finfo(dtype).max)  # type: ignore[type-var]
    return np.asarray(np.clip(values, -most, most), dtype=dtype)
