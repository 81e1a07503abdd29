"""The compiled contracts that ship with this package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ..errors import ToolMissing
from ..evm.abi import Abi

MARKET = "Market"
FACTORY = "MarketFactory"
VERIFICATION = "SumcheckVerification"
COMPUTED = "ComputedVerification"
VERIFICATIONS = (VERIFICATION, COMPUTED)
ADMISSION = "VoucherAdmission"

_PLACEHOLDER = b"\x7f" + bytes(32)
"""PUSH32 of zero: the compiler writes it only where an immutable goes."""


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """One compiled contract.

    Attributes
    ----------
    creation_code : bytes
        What deploys it, before the constructor's arguments.
    runtime_code : bytes
        What is then on the chain, with zeros where immutables go.
    """

    name: str
    abi: Abi
    creation_code: bytes
    runtime_code: bytes

    def is_code(self, code: bytes) -> bool:
        """Whether `code` is this contract's runtime code, whatever its immutables are."""
        if len(code) != len(self.runtime_code):
            return False
        place, plain = self.runtime_code.find(_PLACEHOLDER), bytearray(code)
        while place >= 0:
            end = place + len(_PLACEHOLDER)
            plain[place + 1 : end] = bytes(32)
            place = self.runtime_code.find(_PLACEHOLDER, end)
        return bytes(plain) == self.runtime_code


@cache
def load(name: str) -> Artifact:
    """A compiled contract by its Solidity name; raises as `described` does."""
    return parse(name, described(name))


def described(name: str) -> dict[str, Any]:
    """A compiled contract as `contracts/compile.py` wrote it; raises `ToolMissing` if this installation does not have it."""
    try:
        text = (resources.files(__package__) / "artifacts" / f"{name}.json").read_text()
    except FileNotFoundError as error:
        raise ToolMissing(
            f"the compiled contract {name} is not installed; expected it in the package; run `make artifacts` in a checkout"
        ) from error
    found: dict[str, Any] = json.loads(text)
    return found


def parse(name: str, described: dict[str, Any]) -> Artifact:
    """Artifact from its JSON form."""
    return Artifact(
        name=name,
        abi=Abi(described["abi"]),
        creation_code=bytes.fromhex(described["bytecode"].removeprefix("0x")),
        runtime_code=bytes.fromhex(described["deployedBytecode"].removeprefix("0x")),
    )
