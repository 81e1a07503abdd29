"""What a transaction should do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import rlp

from ..crypto.address import Address, parse_address
from ..crypto.hashing import keccak256, word
from ..errors import Malformed
from . import rpc_values
from .blobs import BLOB_TYPE, versioned_hashes

PLAIN_TYPE = 2
"""Of transactions with EIP-1559 fees."""

Log = tuple[Address, tuple[bytes, ...], bytes]


@dataclass(frozen=True, slots=True)
class Payload:
    """What a transaction is to do.

    Attributes
    ----------
    to : Address or None
        Contract or account; None to deploy `data`.
    blobs : tuple of bytes, length 131,072 each
        What goes along with it, up to six.
    any_value : bool
        Whether a transaction on its way that differs in value only is this one all the same.
    needs_record : bool (default: True)
        Whether it may be sent only if the outbox has its file; False where being late is worse than paying a fee twice.
    """

    to: Address | None
    data: bytes
    value_wei: int = 0
    blobs: tuple[bytes, ...] = field(default=(), repr=False)
    any_value: bool = False
    needs_record: bool = True

    @property
    def key(self) -> bytes:
        """What tells it from other payloads of an account, 32 bytes."""
        value = b"any" if self.any_value else word(self.value_wei)
        return keccak256(b"".join(map(keccak256, (str(self.to).encode(), self.data, value, *self.blobs))))

    def blob_hashes(self) -> list[bytes]:
        """Versioned hashes of the blobs."""
        return versioned_hashes(self.blobs) if self.blobs else []

    def fields(self) -> dict[str, Any]:
        """Fields of a transaction that say what it does, as eth-account takes them."""
        fields: dict[str, Any] = {"type": PLAIN_TYPE, "data": self.data, "value": self.value_wei} | (
            {"to": parse_address(self.to)} if self.to else {}
        )
        return fields | ({"type": BLOB_TYPE, "blobVersionedHashes": self.blob_hashes()} if self.blobs else {})


def payload_of(signed: bytes, signer: Address) -> Payload:
    """What a signed transaction without blobs is to do; raises `Malformed` if it is none, or `signer` has not signed it."""
    from eth_account import Account

    try:
        fields = rlp.decode(signed[1:])
        if signed[0] != PLAIN_TYPE or Account.recover_transaction(signed) != signer:
            raise Malformed(f"this is no transaction without blobs that {signer} has signed; expected one")
        to, value, data = fields[5:8]
        return Payload(parse_address(to) if to else None, bytes(data), int.from_bytes(value, "big"))
    except (rlp.exceptions.RLPException, ValueError, TypeError, IndexError) as error:
        raise Malformed(f"this is no signed transaction ({error}); expected one") from error


def call_of(sender: Address, transaction: dict[str, Any]) -> dict[str, Any]:
    """A transaction as ``eth_call`` and ``eth_estimateGas`` take it."""
    call: dict[str, Any] = {"from": sender, "data": "0x" + transaction["data"].hex()}
    call |= {name: hex(transaction[name]) for name in ("value", "gas", "maxFeePerBlobGas") if name in transaction}
    call |= {"to": transaction["to"]} if "to" in transaction else {}
    hashes = transaction.get("blobVersionedHashes")
    return call | ({"blobVersionedHashes": ["0x" + blob_hash.hex() for blob_hash in hashes]} if hashes else {})


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that is on the chain.

    Attributes
    ----------
    transaction_hash : str
        ``0x`` and 64 digits.
    fee_wei : int
        Gas times its price, and blob gas times its.
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
    logs: tuple[Log, ...]
    contract: Address | None


def mined_of(receipt: dict[str, Any], seconds: float) -> Mined:
    """A transaction from the receipt that a node gives; raises `BadAnswer` if it is none."""
    gas_used = rpc_values.field(receipt, "gasUsed")
    fee_wei = gas_used * rpc_values.field(receipt, "effectiveGasPrice")
    if receipt.get("blobGasUsed") and receipt.get("blobGasPrice"):
        fee_wei += rpc_values.field(receipt, "blobGasUsed") * rpc_values.field(receipt, "blobGasPrice")
    contract = receipt.get("contractAddress")
    return Mined(
        transaction_hash="0x" + rpc_values.octets("transactionHash", receipt.get("transactionHash"), 32).hex(),
        block=rpc_values.field(receipt, "blockNumber"),
        gas_used=gas_used,
        fee_wei=fee_wei,
        seconds=seconds,
        logs=tuple(map(log_of, rpc_values.records("logs", receipt.get("logs")))),
        contract=rpc_values.address("contractAddress", contract) if contract else None,
    )


def log_of(log: dict[str, Any]) -> Log:
    """Contract, topics and data of a log; raises `BadAnswer`."""
    topics = log.get("topics")
    if not isinstance(topics, list):
        raise rpc_values.bad("topics", topics)
    return (
        rpc_values.address("address", log.get("address")),
        tuple(rpc_values.octets("topics", topic, 32) for topic in topics),
        rpc_values.octets("data", log.get("data")),
    )
