"""Split a model's arrays into public and private part, join them again, flatten the public part to a vector."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from ..errors import UpdateError
from ..market.parts import select_private
from .wire import named_arrays


@dataclass(frozen=True, slots=True)
class Parts:
    """Names of a model's parameters in their order, and which of them are private."""

    names: tuple[str, ...]
    private: frozenset[str]

    @classmethod
    def of(cls, model: ArrayRecord, patterns: Iterable[str]) -> Parts:
        """Parts of `model` by name patterns; see `select_private`."""
        names = tuple(model.keys())
        return cls(names, select_private(names, patterns))

    def split(self, model: ArrayRecord) -> tuple[ArrayRecord, ArrayRecord]:
        """Public and private part of `model`."""
        public = {name: model[name] for name in self.names if name not in self.private}
        return ArrayRecord(public), ArrayRecord({name: model[name] for name in self.names if name in self.private})

    def join(self, public: ArrayRecord, private: ArrayRecord) -> ArrayRecord:
        """The whole model, parameters in their original order."""
        return ArrayRecord({name: (private if name in self.private else public)[name] for name in self.names})


def flatten(arrays: ArrayRecord) -> NDArray[np.float64]:
    """All entries in a row.

    Returns
    -------
    float64 array, shape (d,)

    Raises
    ------
    UpdateError
        An array is not of floating point numbers.
    """
    flat = []
    for name, array in named_arrays(arrays):
        if not np.issubdtype(array.dtype, np.floating):
            raise UpdateError(f"parameter {name!r} is {array.dtype.name}, expected floating point; make it part of the private part")
        flat.append(array.astype(np.float64).ravel())
    return np.concatenate(flat) if flat else np.zeros(0)


def add_flat(arrays: ArrayRecord, update: NDArray[np.float64]) -> ArrayRecord:
    """`arrays` plus `update`, each array in its own dtype.

    Parameters
    ----------
    arrays : ArrayRecord
        d entries in all.
    update : float64 array, shape (d,)
    """
    summed: dict[str, Array] = {}
    start = 0
    for name, array in named_arrays(arrays):
        part = update[start : start + array.size].reshape(array.shape)
        summed[name] = Array(np.asarray(array.astype(np.float64) + part, dtype=array.dtype))
        start += array.size
    return ArrayRecord(summed)


def same_shapes(one: ArrayRecord, other: ArrayRecord) -> bool:
    """Whether two records hold arrays of the same names, shapes and dtypes in the same order, whatever they say of themselves."""
    first, second = ([(name, array.shape, array.dtype) for name, array in named_arrays(record)] for record in (one, other))
    return first == second
