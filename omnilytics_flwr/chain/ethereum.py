"""The ledger on a chain: one market as one account sees it."""

from __future__ import annotations

from ..market.draw import draw_order, epoch_seed
from ..market.ledger import Receipt
from ..market.stage import Event
from ..market.terms import ZERO_ADDRESS, Address
from .header import header_rlp, prevrandao_of
from .reading import MarketReader
from .rpc import Connection
from .sending import sender_for
from .transaction import Mined, Payload
from .wallet import Wallet


class EthereumLedger(MarketReader):
    """A market on a chain; implements `omnilytics_flwr.market.ledger.Ledger`.

    Every transaction is estimated before it is sent, so that one that the market refuses raises its error and costs nothing.

    Parameters
    ----------
    connection : Connection
    address : Address
        The market's.
    wallet : Wallet
        Signs the transactions.

    Raises
    ------
    UnknownMarket
        The address holds no market of this version.
    """

    def __init__(self, connection: Connection, address: Address, wallet: Wallet) -> None:
        super().__init__(connection, address)
        self._wallet = wallet

    def __repr__(self) -> str:
        return f"EthereumLedger({self.address}, account={self.account}, {self._connection!r})"

    @property
    def wallet(self) -> Wallet:
        """What signs for the account."""
        return self._wallet

    @property
    def account(self) -> Address:
        """The account that sends."""
        return self._wallet.address

    def join(self, mask_key: bytes, admission_data: bytes = b"") -> Receipt:
        """Register, paying the stake, if new; enrol for the next epoch."""
        stake_wei = 0 if self.owner_record(self.account).registered else self.terms().stake_wei
        return self._send(Event.JOIN, mask_key, admission_data, value_wei=self._ether(stake_wei))

    def leave(self) -> Receipt:
        """Give notice."""
        return self._send(Event.LEAVE)

    def depart(self) -> Receipt:
        """Take the stake back."""
        return self._send(Event.DEPART)

    def fund(self, amount_wei: int) -> Receipt:
        """Add to the escrow."""
        return self._send(Event.FUND, amount_wei, value_wei=self._ether(amount_wei))

    def freeze(self) -> Receipt:
        """Fix the enrolled data owners as the next epoch."""
        return self._send(Event.FREEZE)

    def draw(self) -> Receipt:
        """Wait until the block of the draw is in history, then draw the groups."""
        draw_block = self.state().draw_block
        self._connection.await_block(draw_block + 1)
        return self.draw_with(header_rlp(self._connection.block(draw_block)))

    def draw_with(self, header: bytes) -> Receipt:
        """Draw the groups with a header of the block of the draw that the caller has.

        Parameters
        ----------
        header : bytes
            RLP.
        """
        seed = epoch_seed(prevrandao_of(header), self.state().epoch, self.address)
        order = draw_order(seed, {member.seat: member.owner for member in self.members()})
        return self._send(Event.DRAW, header, bytes(order))

    def anchor(self, task_hash: bytes) -> Receipt:
        """Start a round by anchoring its task."""
        return self._send(Event.ANCHOR, task_hash)

    def open(self, round_number: int, groups: int, digests: tuple[bytes, ...], signatures: tuple[bytes, ...]) -> Receipt:
        """Open the round; signatures are 64 bytes each (EIP-2098)."""
        return self._send(Event.OPEN, round_number, groups, digests, b"".join(signatures))

    def settle(self, round_number: int, settlement: bytes, waived: int, next_task_hash: bytes) -> Receipt:
        """Settle the open round and anchor the next task, unless its hash is zero."""
        return self._send(Event.SETTLE, round_number, settlement, waived, next_task_hash)

    def timeout(self, round_number: int) -> Receipt:
        """Pay everybody on the roster of a round that was not settled in time."""
        return self._send(Event.TIMEOUT, round_number)

    def claim(self, owner: Address, through_round: int) -> Receipt:
        """Pay a data owner what finished rounds owe it."""
        return self._send(Event.CLAIM, owner, through_round)

    def close(self) -> Receipt:
        """End the market."""
        return self._send(Event.CLOSE)

    def withdraw(self, account: Address) -> Receipt:
        """Pay out a credit."""
        return self._send(Event.WITHDRAW, account)

    def _ether(self, amount_wei: int) -> int:
        """What of an amount is sent along: all if the market pays in ether; a token is taken from the allowance instead."""
        return amount_wei if self.terms().token == ZERO_ADDRESS else 0

    def _send(self, event: Event, *arguments: object, value_wei: int = 0) -> Receipt:
        payload = Payload(self.address, self._abi.call_data(event.value, *arguments), value_wei)
        mined = sender_for(self._connection, self._wallet).send(event.value, payload, self._refusals)
        return self._receipt(event, mined)

    def _receipt(self, event: Event, mined: Mined) -> Receipt:
        logs = {}
        for contract, topics, data in mined.logs:
            decoded = self._abi.log(topics, data) if contract == self.address else None
            if decoded is not None:
                logs[decoded[0]] = decoded[1]
        return Receipt(event.value, mined.transaction_hash, mined.block, mined.gas_used, mined.fee_wei, logs)
