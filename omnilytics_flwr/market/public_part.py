"""Which of a model's parameters are public, and which of those are weights (LG-FedAvg, Liang et al. 2020; FedRep, Collins et al. 2021).

Of the public part, floating point numbers of 16, 32 and 64 bits are trained: they are the weights. Whole numbers and truth values,
such as the counters of batch normalisation, are constant. docs/start/own-app.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TermsError, UpdateError

TRAINED = ("float16", "float32", "float64")
"""Names of the dtypes whose entries are weights, in either byte order."""

_CONSTANT_KINDS = "iub"
_UNREADABLE_KIND = "V"
"""numpy has no such dtype, e.g. bfloat16: only its bytes travel, and no strategy can average them."""


def select_private(names: Iterable[str], patterns: Iterable[str]) -> frozenset[str]:
    """Names of the private parameters.

    Parameters
    ----------
    names : iterable of str
        Parameters of the whole model; ``"0"``, ``"1"``, ... for plain Flower arrays.
    patterns : iterable of str
        Shell-style patterns, e.g. ``"conv1.*"``. One that begins with ``!`` takes names out again that an earlier one has put in, as in
        ``("*", "!head.*")``: everything but the head is private.

    Raises
    ------
    TermsError
        A pattern matches no name, or takes none out, or nothing is left to be public.
    """
    known = list(names)
    private: set[str] = set()
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        matched = {name for name in known if fnmatchcase(name, wanted)}
        if not matched:
            raise TermsError(f"private pattern {pattern!r} matches none of the model's parameters; they are {', '.join(known)}")
        if wanted != pattern and not private & matched:
            raise TermsError(
                f"private pattern {pattern!r} takes out nothing that an earlier one put in; move it behind that, or leave it out"
            )
        private = private | matched if wanted == pattern else private - matched
    if len(private) == len(known):
        raise TermsError("every parameter is private; leave at least one public, or there is nothing to train")
    return frozenset(private)


def is_trained(name: str, array: NDArray[Any], label: str = "") -> bool:
    """Whether the entries of a public parameter are weights; if not, they are constant.

    Parameters
    ----------
    name : str
        Of the parameter.
    label : str (default: what numpy says)
        What the sender says of the dtype.

    Raises
    ------
    UpdateError
        They can be neither; says what to do.
    """
    if array.dtype.name in TRAINED:
        return True
    if array.dtype.kind in _CONSTANT_KINDS:
        return False
    actual, remedy = array.dtype.name, "send it as float64, or make it part of the private part"
    if array.dtype.kind == _UNREADABLE_KIND:
        actual, remedy = label or actual, "send it as float32 and turn it back where it is used, or make it part of the private part"
    elif array.dtype.kind == "c":
        remedy = "send real and imaginary part as two arrays, or make it part of the private part"
    raise UpdateError(
        f"parameter {name!r} is {actual}, expected {', '.join(TRAINED)} to be trained, or whole numbers or truth values to stay as they "
        f"are; {remedy}"
    )


def measure_update(model: Mapping[str, Any] | int, trained: Mapping[str, Any], private: Iterable[str] = ()) -> tuple[float, float]:
    """How far training moved a model's public part: the largest absolute change of a weight, and the L2 norm of all.

    Raises
    ------
    TermsError
        `model` is no model, `trained` has other parameters or shapes, or nothing has moved, or not to a finite place.
    """
    if isinstance(model, int):
        raise TermsError("trained came with a number of weights; expected the model that it was trained from as well; give that one")
    hidden = select_private(model, private)
    for name in (name for name in model if name not in hidden):
        before, after = _array(model[name]), _array(trained.get(name, ()))
        if before.shape != after.shape:
            raise TermsError(
                f"parameter {name!r} has shape {after.shape} in trained, {before.shape} in the model; expected one model, trained"
            )
    weights = public_weights(model, private)
    moves = [_array(trained[name]).astype(np.float64).ravel() - before for name, before in weights.items()]
    move = np.concatenate(moves) if moves else np.zeros(0)
    norm = float(np.linalg.norm(move))
    if not 0 < norm < np.inf:
        raise TermsError(f"training moved the public part by {norm:g}; expected a finite move; train a round on data like the data owners'")
    return float(np.abs(move).max()), norm


def public_weights(model: Mapping[str, Any], private: Iterable[str] = ()) -> dict[str, NDArray[np.float64]]:
    """The weights of each parameter of a model's public part, in a row and exactly; constants are left out.

    Parameters
    ----------
    model : mapping of names to arrays
        numpy arrays, or what has a method ``numpy``, as Flower's and torch's have.
    private : iterable of str (default: none)
        Patterns for `select_private`.

    Raises
    ------
    TermsError, UpdateError
        As `select_private` and `is_trained` do.
    """
    hidden = select_private(model, private)
    arrays = {name: _array(array) for name, array in model.items() if name not in hidden}
    return {name: array.astype(np.float64).ravel() for name, array in arrays.items() if is_trained(name, array)}


def count_weights(model: Mapping[str, Any], private: Iterable[str] = ()) -> int:
    """d, the number of weights of a model's public part; the rest as for `public_weights`."""
    hidden = select_private(model, private)
    arrays = {name: _array(array) for name, array in model.items() if name not in hidden}
    return sum(array.size for name, array in arrays.items() if is_trained(name, array))


def _array(found: Any) -> NDArray[Any]:
    return np.asarray(found.numpy() if hasattr(found, "numpy") else found)
