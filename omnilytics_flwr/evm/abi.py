"""Solidity's ABI: calls, results, events and errors of one contract, as plain Python values.

eth-abi's codec and eth-utils' signatures do the work. This module does not use web3's contracts: they decode an event
only with its whole receipt, and have no typed error for bytes that a stranger sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.decoding import AddressDecoder
from eth_abi.exceptions import DecodingError
from eth_abi.registry import registry
from eth_utils.abi import abi_to_signature, get_abi_input_names, get_abi_input_types, get_abi_output_types
from eth_utils.address import to_checksum_address

from ..crypto.hashing import keccak256
from ..errors import Malformed

SELECTOR_BYTES = 4


class _ChecksummedAddressDecoder(AddressDecoder):
    decoder_fn = staticmethod(to_checksum_address)


_registry = registry.copy()  # type: ignore[no-untyped-call]
_registry.unregister_decoder("address")
_registry.register_decoder("address", _ChecksummedAddressDecoder, label="address")
_CODEC = ABICodec(_registry)


@dataclass(frozen=True, slots=True)
class Signature:
    """A function, event or error.

    Attributes
    ----------
    name : str
    hash : bytes, length 32
        Keccak-256 of the canonical signature: an event's first topic, and what a function's or error's selector begins.
    types, names : tuple of str
        Of a function's arguments, an event's fields or an error's facts.
    results : tuple of str
        Types that a function returns.
    indexed : tuple of bool
        For each field of an event, whether it is a topic.
    """

    name: str
    hash: bytes
    types: tuple[str, ...]
    names: tuple[str, ...]
    results: tuple[str, ...]
    indexed: tuple[bool, ...]

    @property
    def selector(self) -> bytes:
        """First 4 bytes of the hash."""
        return self.hash[:SELECTOR_BYTES]


class Abi:
    """The ABI of a contract without overloaded functions.

    Parameters
    ----------
    entries : sequence of dict
        The compiler's JSON.
    """

    def __init__(self, entries: Sequence[Any]) -> None:
        functions, events, errors = (
            [_signature(entry) for entry in entries if entry["type"] == kind] for kind in ("function", "event", "error")
        )
        self.functions = {signature.name: signature for signature in functions}
        self.events = {signature.hash: signature for signature in events}
        self.errors = {signature.selector: signature for signature in errors}

    def call_data(self, function: str, *arguments: object) -> bytes:
        """Selector and arguments of a call."""
        signature = self.functions[function]
        return signature.selector + _CODEC.encode(signature.types, arguments)

    def call(self, data: bytes) -> tuple[str, dict[str, object]] | None:
        """Name and arguments of a call; None if `data` begins with no function's selector. Raises `Malformed`."""
        signature = next((s for s in self.functions.values() if s.selector == data[:SELECTOR_BYTES]), None)
        if signature is None:
            return None
        return signature.name, dict(zip(signature.names, decode_values(signature.types, data[SELECTOR_BYTES:]), strict=True))

    def results(self, function: str, data: bytes) -> tuple[Any, ...]:
        """What a call returned; raises `Malformed` if `data` is not what the function returns."""
        return decode_values(self.functions[function].results, data)

    def log(self, topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, object]] | None:
        """Name and fields of an event; None if it is not one of this contract's. Raises `Malformed`.

        An indexed field of a dynamic type is its hash.
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
    """Values of ABI-encoded `data`, addresses with checksum; raises `Malformed` if it does not hold such values."""
    try:
        return _CODEC.decode(types, data)
    except (DecodingError, OverflowError, ValueError) as error:
        raise Malformed(f"{len(data)} bytes do not decode as ({','.join(types)}): {error}") from error


def _signature(entry: Any) -> Signature:
    return Signature(
        name=entry["name"],
        hash=keccak256(abi_to_signature(entry).encode()),
        types=tuple(get_abi_input_types(entry)),
        names=tuple(name or "" for name in get_abi_input_names(entry)),
        results=tuple(get_abi_output_types(entry)) if entry["type"] == "function" else (),
        indexed=tuple(bool(field.get("indexed")) for field in entry.get("inputs", [])),
    )


def _topic_type(kind: str) -> str:
    return "bytes32" if kind in ("string", "bytes") or kind.endswith(("]", ")")) else kind
