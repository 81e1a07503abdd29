"""What a transaction would be and cost, without signing or sending anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ..crypto.address import Address
from ..errors import ChainError, LedgerError, Refusal
from . import rpc_values
from .connection import Connection
from .endpoint import NodeError
from .erc20 import APPROVE
from .fees import GAS_FEE, TIP, highest_cost_wei
from .reverts import Reverts
from .sender import Sender
from .transaction import Mined, Payload
from .wallet import Wallet

PREPARING = frozenset({APPROVE})
"""Events that another transaction follows."""

_SIMULATE = "eth_simulateV1"


@dataclass(frozen=True, slots=True)
class PlannedTransaction:
    """A transaction as it would be sent now.

    Attributes
    ----------
    event : str
    sender : Address
    to : Address or None
        None if it deploys a contract.
    value_wei : int
    data : bytes
    gas : int
        What the node estimates.
    gas_limit : int
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


class Planned(Exception):
    """The plan is complete; raised instead of sending, so that no caller takes it for done."""

    def __init__(self, transactions: tuple[PlannedTransaction, ...]) -> None:
        super().__init__(transactions)
        self.transactions = transactions


class AddressOnly(Wallet):
    """A wallet that knows its address and cannot sign."""

    def __init__(self, address: Address) -> None:
        self._address = address

    @property
    def address(self) -> Address:
        """The account's address."""
        return self._address

    def sign_transaction(self, transaction: Mapping[str, Any]) -> NoReturn:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ChainError(f"{self.address} is known by its address only and cannot sign; expected its wallet; open that to sign")


class PlanningSender(Sender):
    """A sender that estimates each transaction as `Sender` does, and keeps it as a plan.

    Use `plan_for`; every ledger and every deployment on the connection then sends through it.

    Attributes
    ----------
    transactions : list of PlannedTransaction
        What would have been sent so far.
    """

    def __init__(self, connection: Connection, wallet: Wallet) -> None:
        super().__init__(connection, wallet)
        self.transactions: list[PlannedTransaction] = []
        self._calls: list[dict[str, Any]] = []
        self._gas = 0

    def send(self, event: str, payload: Payload, reverts: Reverts) -> Mined:
        """Plan a transaction.

        Raises
        ------
        Planned
            Unless it only prepares another one.
        LedgerError, NotFunded, ChainError
            As `Sender.send` raises them before it sends.
        """
        self.plan(event, payload, reverts)
        if event not in PREPARING:
            raise Planned(tuple(self.transactions))
        return Mined("", 0, 0, 0, 0.0, (), None)

    def plan(self, event: str, payload: Payload, reverts: Reverts) -> None:
        """Plan a transaction and go on; raises as `send` does, but for `Planned`."""
        built = self._build(payload, reverts)
        price_wei = (built[GAS_FEE] - built[TIP]) // 2 + built[TIP]
        self.transactions.append(
            PlannedTransaction(
                event=event,
                sender=self._wallet.address,
                to=payload.to,
                value_wei=payload.value_wei,
                data=payload.data,
                gas=self._gas,
                gas_limit=built["gas"],
                fee_wei=self._gas * price_wei,
                most_fee_wei=highest_cost_wei(built) - payload.value_wei,
            )
        )

    def _estimate(self, call: dict[str, Any], reverts: Reverts) -> str:
        """Gas after the transactions planned before: a payment in tokens needs the allowance that the one before it gives."""
        try:
            estimate = super()._estimate(call, reverts)
        except LedgerError as error:
            if not self._calls or isinstance(error, Refusal):
                raise
            result = simulated(self._connection, [*self._calls, call])[-1]
            if rpc_values.field(result, "status") != 1:
                raise
            estimate = hex(rpc_values.field(result, "gasUsed"))
        self._calls.append(call)
        self._gas = rpc_values.quantity("estimate of gas", estimate)
        return estimate


def plan_for(connection: Connection, account: Address) -> PlanningSender:
    """From now on plan what `account` would send through this connection."""
    sender = PlanningSender(connection, AddressOnly(account))
    connection.senders[account] = sender
    return sender


def simulated(connection: Connection, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What calls would do, one after the other: status, gas used and logs of each, as the node gives them.

    Raises
    ------
    ChainError
        The node cannot simulate.
    """
    try:
        blocks = connection.request(_SIMULATE, {"blockStateCalls": [{"calls": calls}]}, "latest")
    except NodeError as error:
        raise ChainError(f"the node cannot simulate ({error.message}); expected {_SIMULATE}; ask another node") from error
    results = [result for block in rpc_values.records(_SIMULATE, blocks) for result in rpc_values.records("calls", block.get("calls"))]
    if len(results) != len(calls):
        raise rpc_values.bad(_SIMULATE, blocks)
    return results
