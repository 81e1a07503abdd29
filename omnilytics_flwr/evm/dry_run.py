"""A sender that shows what transactions would be and cost, and signs and sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from ..crypto.address import Address
from ..errors import ChainError, LedgerError, Refusal
from . import rpc_values
from .connection import Connection
from .endpoint import NodeError
from .fees import GAS_FEE, TIP, highest_cost_wei
from .reverts import PLAIN, Reverts
from .sender import Sender
from .transaction import Payload

_SIMULATE = "eth_simulateV1"


@dataclass(frozen=True, slots=True)
class PlannedTransaction:
    """A transaction as it would be sent now.

    Attributes
    ----------
    to : Address or None
        None if it deploys a contract.
    gas : int
        What the node estimates.
    fee_wei : int
        Gas times the present price.
    most_fee_wei : int
        The most that it can cost, besides its value.
    """

    event: str
    sender: Address
    to: Address | None
    value_wei: int
    data: bytes
    gas: int
    gas_limit: int
    fee_wei: int
    most_fee_wei: int


class _Planned(Exception):
    """Ends an action at the transaction whose receipt it would need: there is none, and nobody may take a plan for done."""


class DryRun(Sender):
    """A sender that estimates and notes each transaction, and needs no key.

    `send` never returns. Hand it to a ledger, or to whatever else sends, inside `plan`.
    """

    def __init__(self, connection: Connection, address: Address) -> None:
        super().__init__(connection, address)
        self._plan: list[PlannedTransaction] = []
        self._calls: list[dict[str, Any]] = []
        self._gas = 0

    def sign_hash(self, signing_hash: bytes) -> NoReturn:
        """Refuse: only the address is known."""
        raise ChainError(f"{self.address} is known by its address only and cannot sign; expected its wallet; open that to sign")

    def plan(self, action: Callable[[], object]) -> tuple[PlannedTransaction, ...]:
        """What `action` would send, up to the first transaction whose receipt it needs; raises what it raises before that."""
        self._plan, self._calls = [], []
        with suppress(_Planned):
            action()
        return tuple(self._plan)

    def send(self, event: str, payload: Payload, reverts: Reverts = PLAIN) -> NoReturn:
        """Note a transaction and end the action."""
        self.prepare(event, payload, reverts)
        raise _Planned

    def prepare(self, event: str, payload: Payload, reverts: Reverts = PLAIN) -> None:
        """Note a transaction; raises what `Sender.send` raises before it sends."""
        draft = self._draft(payload, reverts)
        price_wei = (draft[GAS_FEE] - draft[TIP]) // 2 + draft[TIP]
        self._plan.append(
            PlannedTransaction(
                event=event,
                sender=self.address,
                to=payload.to,
                value_wei=payload.value_wei,
                data=payload.data,
                gas=self._gas,
                gas_limit=draft["gas"],
                fee_wei=self._gas * price_wei,
                most_fee_wei=highest_cost_wei(draft) - payload.value_wei,
            )
        )

    def _estimate_gas(self, call: dict[str, Any], reverts: Reverts) -> int:
        """Gas after the transactions noted before: a payment in tokens needs the allowance that the one before it gives."""
        try:
            self._gas = super()._estimate_gas(call, reverts)
        except LedgerError as error:
            # The market's own refusals stand whatever was noted before; only a token's depend on it.
            if not self._calls or isinstance(error, Refusal):
                raise
            result = simulated(self.connection, [*self._calls, call])[-1]
            if rpc_values.field(result, "status") != 1:
                raise
            self._gas = rpc_values.field(result, "gasUsed")
        self._calls.append(call)
        return self._gas


def simulated(connection: Connection, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What calls would do, one after the other: status, gas used and logs of each; raises `ChainError` if the node cannot simulate."""
    try:
        blocks = connection.of_block(_SIMULATE, {"blockStateCalls": [{"calls": calls}]}, connection.named())
    except NodeError as error:
        raise ChainError(f"the node cannot simulate ({error.message}); expected {_SIMULATE}; ask another node") from error
    results = [result for block in rpc_values.records(_SIMULATE, blocks) for result in rpc_values.records("calls", block.get("calls"))]
    if len(results) != len(calls):
        raise rpc_values.bad(_SIMULATE, blocks)
    return results
