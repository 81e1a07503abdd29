"""The interface of what sends for an account, and a transaction before anybody signs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..crypto.address import Address
from ..errors import NotFunded
from . import rpc_values
from .connection import Connection
from .endpoint import NodeError
from .fees import affordable, highest_cost_wei, suggested
from .reverts import PLAIN, Reverts, revert_data
from .transaction import Mined, Payload, call_of

MOST_GAS = 2**24
"""EIP-7825: no transaction may have a higher gas limit."""
SPARE_GAS = 10_000


class Sender(ABC):
    """Sends for one account, at `address`, through one connection."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.connection = connection
        self.address = address

    @abstractmethod
    def sign_hash(self, signing_hash: bytes) -> bytes:
        """Sign for the account as `Wallet.sign_hash` does; raises `ChainError` if only its address is known."""

    @abstractmethod
    def send(self, event: str, payload: Payload, reverts: Reverts = PLAIN) -> Mined:
        """Send a payload and wait until it is mined and confirmed.

        Parameters
        ----------
        event : str
            Name for the record.
        payload : Payload
        reverts : Reverts (default: without errors of its own)
            Errors that the called contract may give.

        Raises
        ------
        LedgerError
            The contract refuses; nothing was sent, unless something overtook it on its way.
        NotFunded
            The account cannot pay value and fee; nothing was sent.
        TransactionLost
            No receipt in time; the same call again goes on waiting.
        ChainError
            Any other trouble with the node, or with the outbox.
        """

    @contextmanager
    def once(self) -> Iterator[None]:
        """Make all that is sent inside one piece of work: if it is interrupted, its repetition sends nothing twice, even what was mined."""
        yield

    def prepare(self, event: str, payload: Payload, reverts: Reverts = PLAIN) -> None:
        """Send what another transaction needs first, and whose receipt nobody needs; raises as `send` does."""
        self.send(event, payload, reverts)

    def _draft(self, payload: Payload, reverts: Reverts) -> dict[str, Any]:
        """The transaction that a payload would be now, but for its nonce."""
        transaction = payload.fields() | {"chainId": self.connection.chain_id, "gas": MOST_GAS}
        # Funds are checked twice, since a node's estimate of what cannot be paid fails with words that differ from node to node.
        self._check_funds(payload.value_wei)
        gas = self._estimate_gas(call_of(self.address, transaction), reverts)
        # A fifth on top: the state may change before the transaction is mined, and what is too little is paid for nothing.
        transaction["gas"] = min(gas + gas // 5 + SPARE_GAS, MOST_GAS)
        transaction |= suggested(self.connection, blobs=bool(payload.blobs))
        transaction |= affordable(transaction, self.connection.balance_wei(self.address))
        self._check_funds(highest_cost_wei(transaction))
        return transaction

    def _estimate_gas(self, call: dict[str, Any], reverts: Reverts) -> int:
        try:
            # Most nodes estimate on the latest state; of several, only one that has our own last transaction may do it.
            named = self.connection.named()
            return rpc_values.quantity("gas", self.connection.of_block("eth_estimateGas", call, *([] if named == "latest" else [named])))
        except NodeError as error:
            reason = revert_data(error)
            if reason is None:
                raise  # the node's own trouble: the contract has not refused anything
            raise reverts.exception(reason) from None

    def _check_funds(self, needed_wei: int) -> None:
        missing_wei = needed_wei - self.connection.balance_wei(self.address)
        if missing_wei > 0:
            raise NotFunded(
                f"{self.address} lacks {missing_wei} wei; expected {needed_wei} wei for value and highest fee; send it the difference"
            )
