"""What a transaction is to do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..market.address import parse_address
from ..market.terms import Address


@dataclass(frozen=True, slots=True)
class Payload:
    """What a transaction is to do; `to` is None to deploy `data`."""

    to: Address | None
    data: bytes
    value_wei: int = 0


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that is on the chain.

    Attributes
    ----------
    logs : tuple of (Address, tuple of bytes, bytes)
        Contract, topics and data of each log.
    contract : Address or None
        Address of a deployed contract.
    """

    transaction_hash: str
    block: int
    gas_used: int
    fee_wei: int
    seconds: float
    logs: tuple[tuple[Address, tuple[bytes, ...], bytes], ...]
    contract: Address | None


def mined_of(receipt: dict[str, Any], seconds: float) -> Mined:
    """A transaction from the receipt that a node gives."""
    gas_used = int(receipt["gasUsed"], 16)
    return Mined(
        transaction_hash=receipt["transactionHash"],
        block=int(receipt["blockNumber"], 16),
        gas_used=gas_used,
        fee_wei=gas_used * int(receipt["effectiveGasPrice"], 16),
        seconds=seconds,
        logs=tuple(
            (parse_address(log["address"]), tuple(bytes.fromhex(t[2:]) for t in log["topics"]), bytes.fromhex(log["data"][2:]))
            for log in receipt["logs"]
        ),
        contract=parse_address(receipt["contractAddress"]) if receipt.get("contractAddress") else None,
    )
