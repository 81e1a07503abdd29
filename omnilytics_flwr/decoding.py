"""The one way in for JSON, TOML and MessagePack: turns bytes into a value of the wanted type, or raises a named error.

Types are msgspec's: frozen structs, dataclasses, and the aliases below. Text is never taken for a number, nor is `true`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec

from .errors import Malformed

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e300)]
Some = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
HexHash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)]


def decode_json(raw: bytes | str, kind: type[T]) -> T:
    """A value from JSON; raises `Malformed` with the place in the document and what was expected there."""
    return _decoded(msgspec.json.decode, raw, kind)


def decode_toml(raw: bytes | str, kind: type[T]) -> T:
    """A value from TOML; raises as `decode_json` does."""
    return _decoded(msgspec.toml.decode, raw, kind)


def decode_msgpack(raw: bytes, kind: type[T]) -> T:
    """A value from MessagePack; raises as `decode_json` does."""
    return _decoded(msgspec.msgpack.decode, raw, kind)


def convert(value: object, kind: type[T]) -> T:
    """A value from what a parser gave; raises as `decode_json` does."""
    return _decoded(msgspec.convert, value, kind)


def _decoded(decode: Callable[..., Any], raw: object, kind: type[T]) -> T:
    try:
        return decode(raw, type=kind)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
