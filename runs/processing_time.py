"""How long a node works on transactions.

The node repeats each transaction on the state that it had found (``debug_traceTransaction`` with the ``callTracer``, which
notes calls only). The time of the request less that of an empty one is what the node spent executing; the least of some
repeats counts, for everything else that the machine does only adds. That the node repeated the very same execution is checked
by its gas. Not in the figure: recovering the sender from the signature, and sealing the block, which `sealing_ms` measures on
a local chain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omnilytics_flwr import Connection
from omnilytics_flwr.errors import ChainError
from omnilytics_flwr.evm import rpc_values
from omnilytics_flwr.evm.endpoint import NodeError

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Processing:
    """Node time of transactions.

    Attributes
    ----------
    execution_ms : tuple of float
        Of each transaction, in milliseconds, network taken off.
    round_trip_ms : float
        What was taken off: an empty request.
    """

    execution_ms: tuple[float, ...]
    round_trip_ms: float

    @property
    def total_ms(self) -> float:
        """All transactions together."""
        return sum(self.execution_ms)


def chain_processing(connection: Connection, transaction_hashes: Sequence[str], *, repeats: int = REPEATS) -> Processing:
    """Node time of mined transactions.

    Parameters
    ----------
    connection : Connection
        To a node that traces, as anvil does.
    transaction_hashes : sequence of str
    repeats : int, >= 1

    Raises
    ------
    ChainError
        The node does not trace, has forgotten the state, or did not repeat the execution.
    """
    round_trip_ms = _least_ms(lambda: connection.request("eth_chainId"), 4 * repeats)
    execution_ms = []
    for transaction_hash in transaction_hashes:
        _check_same(connection, transaction_hash)
        traced_ms = _least_ms(lambda: _trace(connection, transaction_hash), repeats)  # noqa: B023 - called at once
        execution_ms.append(max(0.0, traced_ms - round_trip_ms))
    return Processing(tuple(execution_ms), round_trip_ms)


def sealing_ms(connection: Connection, *, repeats: int = REPEATS) -> float:
    """Milliseconds that a local chain takes for a block without transactions, network taken off; mines `repeats` blocks.

    Raises
    ------
    ChainError
        The chain is not local.
    """
    if not connection.is_local:
        raise ChainError(f"chain {connection.chain_id} is not local; expected anvil, which mines when told to; leave this figure out")
    round_trip_ms = _least_ms(lambda: connection.request("eth_chainId"), 4 * repeats)
    return max(0.0, _least_ms(lambda: connection.request("evm_mine"), repeats) - round_trip_ms)


def _trace(connection: Connection, transaction_hash: str) -> dict[str, Any]:
    try:
        trace = rpc_values.record("trace", connection.request("debug_traceTransaction", transaction_hash, {"tracer": "callTracer"}))
    except NodeError as error:
        raise ChainError(
            f"the node cannot trace {transaction_hash} ({error.message}); expected debug_traceTransaction; ask a node that traces"
        ) from error
    return trace


def _check_same(connection: Connection, transaction_hash: str) -> None:
    receipt = connection.request("eth_getTransactionReceipt", transaction_hash)
    if receipt is None:
        raise ChainError(f"the node does not know {transaction_hash}; expected a mined transaction; check hash and chain")
    traced = rpc_values.field(_trace(connection, transaction_hash), "gasUsed")
    mined = rpc_values.field(rpc_values.record("receipt", receipt), "gasUsed")
    if traced != mined:
        raise ChainError(
            f"the node took {traced} gas to repeat {transaction_hash}, which took {mined}; expected the same; measure on another node"
        )


def _least_ms(action: Callable[[], object], repeats: int) -> float:
    least = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        least = min(least, time.perf_counter() - start)
    return 1000 * least
