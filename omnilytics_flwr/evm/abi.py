"""Solidity's ABI: calls, results, events and errors of one contract, as plain Python values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address

from ..crypto.hashing import keccak256
from ..errors import Malformed

SELECTOR_BYTES = 4
AbiEntry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """A function, event or error.

    Attributes
    ----------
    name : str
    types, names : tuple of str
        Of the arguments (for a function), fields (for an event) or facts (for an error).
    results : tuple of str
        Types that a function returns.
    indexed : tuple of bool
        For each field of an event, whether it is a topic.
    """

    name: str
    types: tuple[str, ...]
    names: tuple[str, ...]
    results: tuple[str, ...] = ()
    indexed: tuple[bool, ...] = ()

    @property
    def hash(self) -> bytes:
        """Keccak-256 of the canonical signature: an event's topic, or what begins with a function's or error's selector."""
        return keccak256(f"{self.name}({','.join(self.types)})".encode())

    @property
    def selector(self) -> bytes:
        """First 4 bytes of the hash."""
        return self.hash[:SELECTOR_BYTES]


class Abi:
    """The ABI of a contract without overloaded functions.

    Parameters
    ----------
    entries : sequence of mapping
        The compiler's JSON.
    """

    def __init__(self, entries: Sequence[AbiEntry]) -> None:
        kinds = {kind: [e for e in entries if e["type"] == kind] for kind in ("function", "event", "error")}
        self.functions = {e["name"]: _signature(e) for e in kinds["function"]}
        self.events = {signature.hash: signature for signature in map(_signature, kinds["event"])}
        self.errors = {signature.selector: signature for signature in map(_signature, kinds["error"])}

    def call_data(self, function: str, *arguments: object) -> bytes:
        """Selector and arguments of a call."""
        signature = self.functions[function]
        return signature.selector + encode(signature.types, arguments)

    def results(self, function: str, data: bytes) -> tuple[Any, ...]:
        """What a call returned.

        Raises
        ------
        Malformed
            `data` is not what the function returns.
        """
        return decode_values(self.functions[function].results, data)

    def log(self, topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, object]] | None:
        """Name and fields of an event; None if it is not one of this contract's.

        Indexed fields of dynamic types come as their hashes.
        """
        signature = self.events.get(topics[0]) if topics else None
        if signature is None or sum(signature.indexed) != len(topics) - 1:
            return None
        plain = iter(decode_values([t for t, i in zip(signature.types, signature.indexed, strict=True) if not i], data))
        hidden = iter(topics[1:])
        values = [
            decode_values([_topic_type(kind)], next(hidden))[0] if indexed else next(plain)
            for kind, indexed in zip(signature.types, signature.indexed, strict=True)
        ]
        return signature.name, dict(zip(signature.names, values, strict=True))


def decode_values(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Values of ABI-encoded `data`; addresses with checksum.

    Raises
    ------
    Malformed
        `data` does not hold such values.
    """
    try:
        values = decode(types, data)
    except (DecodingError, OverflowError, ValueError) as error:
        raise Malformed(
            f"{len(data)} bytes do not decode as ({','.join(types)}): {error}; check that the contract is what it should be"
        ) from error
    return tuple(_with_checksums(kind, value) for kind, value in zip(types, values, strict=True))


def _signature(entry: AbiEntry) -> Signature:
    inputs = entry.get("inputs", [])
    return Signature(
        name=entry.get("name", ""),
        types=tuple(_type(i) for i in inputs),
        names=tuple(i.get("name", "") for i in inputs),
        results=tuple(_type(o) for o in entry.get("outputs", [])),
        indexed=tuple(bool(i.get("indexed", False)) for i in inputs),
    )


def _type(component: AbiEntry) -> str:
    kind = str(component["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_type(c) for c in component["components"]) + ")" + kind.removeprefix("tuple")


def _topic_type(kind: str) -> str:
    return "bytes32" if kind in ("string", "bytes") or kind.endswith(("]", ")")) else kind


def _with_checksums(kind: str, value: Any) -> Any:
    if kind == "address":
        return to_checksum_address(value)
    if kind.endswith("]"):
        return tuple(_with_checksums(kind[: kind.rindex("[")], item) for item in value)
    if kind.startswith("("):
        return tuple(_with_checksums(part, item) for part, item in zip(_parts(kind), value, strict=True))
    return value


def _parts(kind: str) -> list[str]:
    """Types of a tuple's components."""
    parts, depth, start = [], 0, 1
    for place, letter in enumerate(kind):
        depth += (letter == "(") - (letter == ")")
        if (letter == "," and depth == 1) or depth == 0:
            parts.append(kind[start:place])
            start = place + 1
    return [part for part in parts if part]
