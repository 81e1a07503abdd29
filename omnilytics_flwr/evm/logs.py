"""All logs of a contract, by spans of blocks that the node takes: some refuse many blocks, others many logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..crypto.address import Address
from . import rpc_values
from .connection import Connection
from .endpoint import NodeError

FIRST_SPAN_BLOCKS = 2000
"""Public nodes take about so many blocks at once."""


def logs_between(connection: Connection, contract: Address, first: int, last: int) -> Iterator[dict[str, Any]]:
    """Logs of a contract from block `first` through `last`, in the order of the chain, as the node gives them.

    Raises
    ------
    NodeError
        The node refuses even a single block; many keep no old logs.
    """
    span, refused = FIRST_SPAN_BLOCKS, False
    while first <= last:
        end = min(first + span - 1, last)
        try:
            found = connection.request("eth_getLogs", {"address": contract, "fromBlock": hex(first), "toBlock": hex(end)})
        except NodeError:
            if span == 1:
                raise
            span, refused = span // 2, True
            continue
        yield from rpc_values.records("logs", found)
        first = end + 1
        span = span if refused else 2 * span
