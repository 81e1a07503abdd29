"""Turns what a reverted call returns into the exception that says the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import LedgerError, Malformed
from .abi import SELECTOR_BYTES, Abi, Signature, decode_values
from .dialects import Meaning
from .endpoint import NodeError

ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")
_REVERTED = "Reverted "
"""What OpenEthereum and Nethermind put before the data."""
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


class Reverts:
    """What the reverts of some contracts mean.

    Parameters
    ----------
    abis : iterable of Abi (default: none)
        Of all contracts whose errors a call may pass on.
    classes : mapping of str to LedgerError class (default: none)
        By the name of a Solidity error, the class that takes its facts; errors without one are told in words.
    """

    def __init__(self, abis: Iterable[Abi] = (), classes: Mapping[str, type[LedgerError]] | None = None) -> None:
        self._classes = classes or {}
        self._signatures: dict[bytes, Signature] = {}
        for abi in abis:
            self._signatures.update(abi.errors)

    def exception(self, data: bytes) -> LedgerError:
        """The error of a call that reverted with `data`: its class with its facts, or a plain `LedgerError` with what is known."""
        selector, rest = data[:SELECTOR_BYTES], data[SELECTOR_BYTES:]
        signature = self._signatures.get(selector)
        if signature is not None and signature.name in self._classes:
            try:
                return self._classes[signature.name](*decode_values(signature.types, rest))
            except Malformed as error:
                return LedgerError(f"the contract refused with {signature.name}, but its facts do not decode: {error}")
        return LedgerError(f"the contract refused: {_reason(signature, selector, rest)}")


PLAIN = Reverts()
"""For contracts without errors of their own."""


def revert_data(error: NodeError) -> bytes | None:
    """Revert data that a node sent with an error, as different nodes do it; None if the error is not a revert, whatever came with it."""
    if error.meaning is not Meaning.REVERT and not str(error.data).startswith(_REVERTED):
        return None
    return _hex_in(error.data) or b""


def _hex_in(data: object) -> bytes | None:
    if isinstance(data, dict):
        return next((found for found in map(_hex_in, (data.get("data"), data.get("result"))) if found is not None), None)
    if not isinstance(data, str):
        return None
    text = data.removeprefix(_REVERTED).strip()
    return bytes.fromhex(text[2:]) if _HEX.fullmatch(text) else None


def _reason(signature: Signature | None, selector: bytes, rest: bytes) -> str:
    try:
        if signature is not None:
            facts = zip(signature.names, decode_values(signature.types, rest), strict=True)
            return f"{signature.name}({', '.join(f'{name}={fact!r}' for name, fact in facts)})"
        if selector == ERROR_STRING:
            return str(decode_values(["string"], rest)[0])
        if selector == PANIC:
            return f"panic {decode_values(['uint256'], rest)[0]:#04x}"
    except Malformed:
        pass
    return f"unknown error 0x{selector.hex()}" if selector else "no reason given"
