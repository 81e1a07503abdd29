"""A strategy's state as JSON with arrays beside it, without pickle, so that a run directory can hold it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePath
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from numpy.typing import NDArray

from ..errors import Malformed
from .compat import Strategy
from .wire import named_arrays

Arrays = dict[str, NDArray[Any]]
Node = Any
"""A value as JSON, with arrays replaced by their names."""


def encode_value(value: object, arrays: Arrays) -> Node:
    """`value` as JSON; its arrays are added to `arrays`; raises `TypeError` for what cannot be saved."""
    match value:
        case np.generic():  # first, for some are Python's numbers too
            return {"scalar": _named(np.asarray(value), arrays)}
        case None | bool() | int() | float() | str():
            return value if type(value) in (type(None), bool, int, float, str) else _unknown(value)
        case bytes():
            return {"bytes": value.hex()}
        case np.ndarray():
            return {"array": _named(value, arrays)}
        case ArrayRecord():
            return {"arrays": [[name, _named(array, arrays)] for name, array in named_arrays(value)]}
        case MetricRecord() | ConfigRecord():
            return {type(value).__name__: encode_value(dict(value.items()), arrays)}
        case PurePath():
            return {"path": str(value)}
        case dict():
            if type(value) not in (dict, OrderedDict):
                return _unknown(value)
            return {"dict": [[encode_value(key, arrays), encode_value(item, arrays)] for key, item in value.items()]}
        case list():
            return {"list": [encode_value(item, arrays) for item in value]}
        case tuple():
            return {"tuple": [encode_value(item, arrays) for item in value]} if type(value) is tuple else _unknown(value)
    # Functions and classes are how a strategy was made, not what became of it.
    return {"code": ""} if _is_code(value) else _unknown(value)


def has_code(node: Node) -> bool:
    """Whether functions or classes are in what was encoded: they are compared, and cannot be decoded."""
    if isinstance(node, dict):
        return "code" in node or any(map(has_code, node.values()))
    return isinstance(node, list) and any(map(has_code, node))


def decode_value(node: Node, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The value that was encoded.

    Raises
    ------
    Malformed
        `node` is no encoding, or an array is missing.
    """
    try:
        return _decode(node, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"a saved value does not decode ({error!r}); expected it as it was saved; put it back from a copy") from error


def copy_value(value: Any) -> Any:
    """A copy that shares nothing which could change."""
    match value:
        case dict():
            return {key: copy_value(item) for key, item in value.items()}
        case list():
            return [copy_value(item) for item in value]
        case tuple() if type(value) is tuple:
            return tuple(copy_value(item) for item in value)
        case np.ndarray():
            return value.copy()
        case ArrayRecord() | MetricRecord() | ConfigRecord():
            return type(value)(dict(value.items()))  # type: ignore[arg-type]
    return value


def same_arrays(one: Arrays, other: Arrays) -> bool:
    """Whether two collections hold the same arrays, bit by bit."""
    return list(one) == list(other) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one.values(), other.values(), strict=True)
    )


def _named(array: NDArray[Any], arrays: Arrays) -> str:
    if array.dtype.hasobject:
        raise TypeError("an array of objects")
    name = f"array-{len(arrays)}"
    arrays[name] = array
    return name


def _is_code(value: object) -> bool:
    """Whether a callable has nothing of its own that could change; a model of torch, which is one, has."""
    if isinstance(value, partial):
        return all(_is_code(part) for part in (value.func, *value.args, *value.keywords.values()) if callable(part))
    if isinstance(value, MethodType):
        return isinstance(value.__self__, (type, Strategy)) or _is_code(value.__self__)
    return isinstance(value, (FunctionType, type)) or (callable(value) and not getattr(value, "__dict__", None))


def _unknown(value: object) -> Node:
    raise TypeError(f"it is a {type(value).__name__}")


def _decode(node: Node, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, held),) = node.items()
    return _DECODERS[kind](held, arrays)


_DECODERS: dict[str, Callable[[Any, Mapping[str, NDArray[Any]]], Any]] = {
    "bytes": lambda held, arrays: bytes.fromhex(held),
    "scalar": lambda held, arrays: arrays[held][()],
    "array": lambda held, arrays: arrays[held],
    "arrays": lambda held, arrays: ArrayRecord({name: Array(arrays[key]) for name, key in held}),
    "MetricRecord": lambda held, arrays: MetricRecord(_decode(held, arrays)),
    "ConfigRecord": lambda held, arrays: ConfigRecord(_decode(held, arrays)),
    "dict": lambda held, arrays: {_decode(key, arrays): _decode(item, arrays) for key, item in held},
    "list": lambda held, arrays: [_decode(item, arrays) for item in held],
    "path": lambda held, arrays: Path(held),
    "tuple": lambda held, arrays: tuple(_decode(item, arrays) for item in held),
}
