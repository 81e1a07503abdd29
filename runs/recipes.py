"""Reading a run's recipe: a TOML file into frozen dataclasses, unknown and missing keys refused.

A section of the file is a dataclass; its fields are the keys that the section must have.
"""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from pathlib import Path

_Section = typing.TypeVar("_Section")


class RunError(Exception):
    """A run cannot go on: what is wrong, what was expected, what to do."""


class RecipeError(RunError):
    """The recipe can't be used: what is wrong, what was expected, what to do."""


def read_recipe(kind: type[_Section], path: Path) -> _Section:
    """Read and check a recipe.

    Parameters
    ----------
    kind : dataclass
        What the file holds.
    path : Path

    Raises
    ------
    RecipeError
        A key is unknown, missing or of another type, or the dataclass refuses its value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    return _build(kind, values, "")


def require(holds: bool, name: str, value: object, expected: str) -> None:
    """Raise `RecipeError` about the key `name` unless `holds`."""
    if not holds:
        raise RecipeError(f"{name} is {value!r}; expected {expected}")


def _build(kind: type[_Section], values: dict[str, object], prefix: str) -> _Section:
    """Make one section from its table, key by key."""
    types = typing.get_type_hints(kind)
    if unknown := sorted(values.keys() - types.keys()):
        raise RecipeError(f"{prefix}{unknown[0]} is no key of the recipe; expected one of {', '.join(sorted(types))}")
    if missing := sorted(types.keys() - values.keys()):
        raise RecipeError(f"{prefix}{missing[0]} is missing; the recipe gives every key")
    return kind(**{key: _convert(types[key], value, prefix + key) for key, value in values.items()})


def _convert(expected: type, value: object, name: str) -> object:
    """Return `value` as what the field `name` holds, refusing everything but int for float."""
    if dataclasses.is_dataclass(expected) and isinstance(value, dict):
        return _build(expected, value, f"{name}.")
    if typing.get_origin(expected) is tuple and isinstance(value, list):
        (kind, _) = typing.get_args(expected)
        return tuple(_convert(kind, item, f"{name}[{i}]") for i, item in enumerate(value))
    if expected is float and type(value) in (int, float):
        return float(typing.cast("float", value))
    if type(value) is not expected:
        shown = getattr(expected, "__name__", expected)
        raise RecipeError(f"{name} is {value!r}; expected {shown}")
    return value
