"""The ledger on a chain: one market as one account sees it."""

from __future__ import annotations

from ..evm.erc20 import allow
from ..evm.header import block_header
from ..evm.sender import Sender
from ..evm.transaction import Payload
from ..market.ledger import Ledger, Receipt
from ..market.stage import Event
from ..market.terms import ZERO_ADDRESS, Address
from .market_reader import MarketReader


class EthereumLedger(MarketReader, Ledger):
    """A market on a chain as one account sees it.

    Every transaction is estimated before it is sent, so that one that the market refuses raises its error and costs nothing.

    Parameters
    ----------
    sender : Sender
        Of the account: `sender_for(connection, wallet)`, or a `DryRun`.
    address : Address
        The market's; raises as `MarketReader` does.
    """

    def __init__(self, sender: Sender, address: Address) -> None:
        super().__init__(sender.connection, address)
        self._sender = sender

    def __repr__(self) -> str:
        return f"EthereumLedger({self.address}, account={self.account}, {self._connection!r})"

    @property
    def sender(self) -> Sender:
        """What sends, and signs, for the account."""
        return self._sender

    @property
    def account(self) -> Address:
        """The account that sends."""
        return self._sender.address

    def _header(self, block_number: int) -> bytes:
        self._connection.await_block(block_number + 1)
        return block_header(self._connection, block_number)

    def _ether_wei(self, amount_wei: int) -> int:
        """All of a payment if the market is paid in ether; of a token, the market is allowed to take the amount instead."""
        token = self.terms().token
        if token == ZERO_ADDRESS:
            return amount_wei
        if amount_wei:
            allow(self._sender, token, spender=self.address, amount_wei=amount_wei)
        return 0

    def _send(self, event: Event, *arguments: object, value_wei: int = 0, blobs: tuple[bytes, ...] = ()) -> Receipt:
        # What is pending is awaited, whatever it pays: fees, and with them an accusation's deposit, rise between two tries, and a stake is
        # paid once.
        any_value = event in (Event.ACCUSE, Event.JOIN)
        # A full disk must not cost an accused its stake: a second answer is refused, and costs a fee at most.
        needs_record = event is not Event.ANSWER
        payload = Payload(self.address, self._abi.call_data(event.value, *arguments), value_wei, blobs, any_value, needs_record)
        mined = self._sender.send(event.value, payload, self._reverts)
        return Receipt(event.value, mined.transaction_hash, mined.block, mined.gas_used, mined.fee_wei, self._events(mined.logs))
