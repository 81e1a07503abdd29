"""What a transaction offers for its gas and its blobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..crypto.kzg import BLOB_BYTES
from ..errors import UnsupportedChain
from . import rpc_values
from .dialects import Meaning
from .endpoint import NodeError

if TYPE_CHECKING:
    from .connection import Connection

DEFAULT_TIP_WEI = 10**9
MOST_RAISE = 16
"""A transaction that is not mined offers more each time it is resumed, but never more than this times what the node suggests now."""
LEAST_CEILING_WEI = 10**9
"""Nor does it stop below this times `MOST_RAISE`, for a unit of gas or blob gas."""

GAS_FEE, TIP, BLOB_FEE = "maxFeePerGas", "maxPriorityFeePerGas", "maxFeePerBlobGas"


def base_fee_wei(connection: Connection) -> int:
    """Base fee of the latest block for a unit of gas; raises `UnsupportedChain` if there is none."""
    fee = connection.block("latest").get("baseFeePerGas")
    if fee is None:
        raise UnsupportedChain(
            f"chain {connection.chain_id} has no base fee (EIP-1559); expected Ethereum's London fork or later; use another"
        )
    return rpc_values.quantity("baseFeePerGas", fee)


def blob_base_fee_wei(connection: Connection) -> int:
    """Base fee of the next block for a unit of blob gas; raises `UnsupportedChain` if the node tells none."""
    try:
        return connection.quantity("eth_blobBaseFee")
    except NodeError as error:
        if error.meaning is not Meaning.NO_METHOD:
            raise
        raise UnsupportedChain(
            f"chain {connection.chain_id} tells no price of blobs ({error.message}); expected one with blobs (EIP-4844); use another"
        ) from error


def suggested(connection: Connection, *, blobs: bool) -> dict[str, int]:
    """Fields of a transaction that offers twice the present base fees and the tip that the node suggests."""
    try:
        tip = connection.quantity("eth_maxPriorityFeePerGas")
    except NodeError as error:
        if error.meaning is not Meaning.NO_METHOD:
            raise
        tip = DEFAULT_TIP_WEI
    # The base fee rises by an eighth a block at most: twice the present one is enough for five full blocks.
    fields = {GAS_FEE: 2 * base_fee_wei(connection) + tip, TIP: tip}
    return fields | ({BLOB_FEE: 2 * max(1, blob_base_fee_wei(connection))} if blobs else {})


def raised(old: Mapping[str, Any], wanted: Mapping[str, int]) -> dict[str, int] | None:
    """Fees with which nodes take a transaction in place of `old`; None if that is more than `MOST_RAISE` allows."""
    fields = {}
    for name, fee_wei in wanted.items():
        # Of blob transactions nodes ask for twice all fees. Of others a quarter, not the tenth that geth asks for, since nodes differ; plus
        # one, for a quarter of nothing is nothing.
        least = 2 * old[name] if BLOB_FEE in wanted else old[name] * 5 // 4 + 1
        # Without a ceiling, a transaction that no fee helps (an earlier nonce is stuck) would end up offering all that the account has.
        if least > MOST_RAISE * max(fee_wei, LEAST_CEILING_WEI):
            return None
        fields[name] = max(fee_wei, least)
    return fields


def affordable(transaction: Mapping[str, Any], balance_wei: int) -> dict[str, int]:
    """A transaction's fees, lowered to what a balance pays if that is still at least half of them: `suggested` offers twice what is due.

    An accused data owner that waits until it can pay more loses its stake.
    """
    fees = {name: int(transaction[name]) for name in (GAS_FEE, TIP, BLOB_FEE) if name in transaction}
    due_wei, left_wei = highest_cost_wei(transaction) - transaction["value"], balance_wei - transaction["value"]
    if not due_wei <= 2 * left_wei < 2 * due_wei:
        return fees
    lowered = {name: fee_wei * left_wei // due_wei for name, fee_wei in fees.items()}
    return lowered | {TIP: min(lowered[TIP], lowered[GAS_FEE])}


def highest_cost_wei(transaction: Mapping[str, Any]) -> int:
    """What an account must hold for a transaction: its value and its fees at their highest."""
    blob_gas = BLOB_BYTES * len(transaction.get("blobVersionedHashes", ()))
    return int(transaction["value"] + transaction["gas"] * transaction[GAS_FEE] + blob_gas * transaction.get(BLOB_FEE, 0))
