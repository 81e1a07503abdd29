"""The state of an inner strategy: put back when a step must be taken again, and saved so that another process can go on.

State is every attribute that no longer is what it was when the run began: FedAdam's moments, say, and not its learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from numpy.typing import NDArray

from ..errors import CannotCompose, Malformed
from .compat import Strategy
from .wire import named_arrays

Arrays = dict[str, NDArray[Any]]
Node = Any
"""A value as JSON, with arrays replaced by their names."""


class InnerState:
    """State of one strategy.

    Parameters
    ----------
    inner : Strategy
        As it is when the run begins.
    """

    def __init__(self, inner: Strategy) -> None:
        self._inner = inner
        self._first = self.copied()

    def copied(self) -> dict[str, Any]:
        """All attributes, to be put back by `put_back`; what could change is copied."""
        return {name: _copy(value) for name, value in vars(self._inner).items()}

    def put_back(self, attributes: Mapping[str, Any]) -> None:
        """Make the attributes what they were."""
        held = vars(self._inner)
        held.clear()
        held.update({name: _copy(value) for name, value in attributes.items()})

    def check(self) -> None:
        """Refuse a strategy of which something cannot be saved.

        Raises
        ------
        CannotCompose
            Names the attribute.
        """
        for name, value in vars(self._inner).items():
            self._encode(name, value, {})

    def encode(self, arrays: Arrays) -> dict[str, Node]:
        """Changed attributes as JSON; their arrays are added to `arrays`."""
        changed = {}
        for name, value in vars(self._inner).items():
            before: Arrays = {}
            after: Arrays = {}
            first = self._encode(name, self._first[name], before) if name in self._first else None
            node = self._encode(name, value, after)
            if name not in self._first or node != first or not _same(before, after):
                changed[name] = _encode(value, arrays)
        return changed

    def decode(self, saved: Mapping[str, Node], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set the attributes that were saved.

        Raises
        ------
        Malformed
            They are no encoding.
        """
        try:
            vars(self._inner).update({name: _decode(node, arrays) for name, node in saved.items()})
        except (KeyError, TypeError, ValueError) as error:
            raise Malformed(
                f"the strategy's state does not decode ({error!r}); expected it as it was saved; put it back from a copy"
            ) from error

    def _encode(self, name: str, value: object, arrays: Arrays) -> Node:
        try:
            return _encode(value, arrays)
        except TypeError as error:
            raise CannotCompose(
                f"{type(self._inner).__name__}.{name} cannot be saved: {error}; expected numbers, text, arrays, or lists and dictionaries of "
                "these; keep it in such, or run without a run directory"
            ) from error


def encode_arrays(record: ArrayRecord, arrays: Arrays) -> Node:
    """An ArrayRecord as JSON; its arrays are added to `arrays`."""
    return _encode(record, arrays)


def decode_arrays(node: Node, arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """The ArrayRecord of `encode_arrays`; raises `Malformed`."""
    try:
        found = _decode(node, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"a model does not decode ({error!r}); expected it as it was saved; put it back from a copy") from error
    if not isinstance(found, ArrayRecord):
        raise Malformed(f"a model is saved as {type(found).__name__}, expected arrays; put it back from a copy")
    return found


def encode_plain(record: ConfigRecord | MetricRecord) -> Node:
    """A ConfigRecord or MetricRecord as JSON."""
    return _encode(dict(record.items()), {})


def decode_plain(node: Node) -> dict[str, Any]:
    """The entries of `encode_plain`."""
    entries: dict[str, Any] = _decode(node, {})
    return entries


def _is_code(value: object) -> bool:
    """Functions, classes and paths: they are how the strategy was made, not what became of it."""
    return callable(value) or isinstance(value, PurePath)


def _copy(value: Any) -> Any:
    match value:
        case dict():
            return {key: _copy(item) for key, item in value.items()}
        case list():
            return [_copy(item) for item in value]
        case tuple() if type(value) is tuple:
            return tuple(_copy(item) for item in value)
        case np.ndarray():
            return value.copy()
        case ArrayRecord():
            return ArrayRecord(dict(value.items()))
        case MetricRecord():
            return MetricRecord(dict(value.items()))
        case ConfigRecord():
            return ConfigRecord(dict(value.items()))
    return value


def _named(array: NDArray[Any], arrays: Arrays) -> str:
    if array.dtype.hasobject:
        raise TypeError("an array of objects")
    name = f"array-{len(arrays)}"
    arrays[name] = array
    return name


def _encode(value: object, arrays: Arrays) -> Node:  # one pair a type: its letter and what it holds
    match value:
        case None | bool() | int() | float() | str():
            return value if type(value) in (type(None), bool, int, float, str) else _unknown(value)
        case bytes():
            return {"bytes": value.hex()}
        case np.generic():
            return {"scalar": _named(np.asarray(value), arrays)}
        case np.ndarray():
            return {"array": _named(value, arrays)}
        case ArrayRecord():
            return {"arrays": [[name, _named(array, arrays)] for name, array in named_arrays(value)]}
        case MetricRecord() | ConfigRecord():
            return {type(value).__name__: _encode(dict(value.items()), arrays)}
        case dict():
            return {"dict": [[_encode(key, arrays), _encode(item, arrays)] for key, item in value.items()]}
        case list():
            return {"list": [_encode(item, arrays) for item in value]}
        case tuple():
            return {"tuple": [_encode(item, arrays) for item in value]} if type(value) is tuple else _unknown(value)
    return {"code": ""} if _is_code(value) else _unknown(value)


def _unknown(value: object) -> Node:
    raise TypeError(f"it is a {type(value).__name__}")


_DECODERS: dict[str, Callable[[Any, Mapping[str, NDArray[Any]]], Any]] = {
    "bytes": lambda held, arrays: bytes.fromhex(held),
    "scalar": lambda held, arrays: arrays[held][()],
    "array": lambda held, arrays: arrays[held],
    "arrays": lambda held, arrays: ArrayRecord({name: Array(arrays[key]) for name, key in held}),
    "MetricRecord": lambda held, arrays: MetricRecord(_decode(held, arrays)),
    "ConfigRecord": lambda held, arrays: ConfigRecord(_decode(held, arrays)),
    "dict": lambda held, arrays: {_decode(key, arrays): _decode(item, arrays) for key, item in held},
    "list": lambda held, arrays: [_decode(item, arrays) for item in held],
    "tuple": lambda held, arrays: tuple(_decode(item, arrays) for item in held),
}


def _decode(node: Node, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, held),) = node.items()
    return _DECODERS[kind](held, arrays)


def _same(one: Arrays, other: Arrays) -> bool:
    return list(one) == list(other) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one.values(), other.values(), strict=True)
    )
