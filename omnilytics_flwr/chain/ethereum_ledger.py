"""The ledger on a chain: one market as one account sees it."""

from __future__ import annotations

from ..evm.connection import Connection
from ..evm.erc20 import allow
from ..evm.header import header_rlp, prevrandao_of
from ..evm.sender import sender_for
from ..evm.transaction import Mined, Payload
from ..evm.wallet import Wallet
from ..market.dispute import usual_deposit_wei
from ..market.draw import draw_order, epoch_seed
from ..market.ledger import Receipt
from ..market.refusals import WrongStage
from ..market.stage import Event, Stage
from ..market.terms import ZERO_ADDRESS, Address
from .market_reader import MarketReader

DRAWN = frozenset({Stage.IDLE, Stage.ANCHORED, Stage.OPEN})
"""Stages in which the present epoch's groups have been drawn."""


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
        """Register, paying the stake, if new, or pay a lost one again; enrol for the next epoch.

        Raises
        ------
        NotFunded
            The account cannot pay the stake.
        """
        record = self.owner_record(self.account)
        lost = record.registered and not record.leave_at and self.state().slashed >> record.seat & 1
        stake_wei = 0 if record.registered and not lost else self.terms().stake_wei
        return self._send(Event.JOIN, mask_key, admission_data, value_wei=self._ether(stake_wei))

    def leave(self) -> Receipt:
        """Give notice."""
        return self._send(Event.LEAVE)

    def depart(self, owner: Address | None = None) -> Receipt:
        """Give up the seat of `owner` (default: the account) and pay it its stake and what it is owed."""
        return self._send(Event.DEPART, owner or self.account)

    def fund(self, amount_wei: int) -> Receipt:
        """Add to the escrow; raises `NotFunded` if the account does not hold the amount."""
        return self._send(Event.FUND, amount_wei, value_wei=self._ether(amount_wei))

    def freeze(self) -> Receipt:
        """Fix the enrolled data owners as the next epoch."""
        return self._send(Event.FREEZE)

    def draw(self) -> Receipt:
        """Wait until the block of the draw is in history, then draw the groups.

        Returns
        -------
        Receipt
            Without a transaction if they are drawn already: anybody may draw, and somebody else was first.
        """
        state = self.state()
        if state.stage in DRAWN:
            return Receipt(Event.DRAW.value)
        self._connection.await_block(state.draw_block + 1)
        header = header_rlp(self._connection.block(state.draw_block))
        try:
            return self.draw_with(header)
        except WrongStage:
            if self.state().stage not in DRAWN:
                raise
            return Receipt(Event.DRAW.value)

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

    def accuse(self, round_number: int, seats: int, digests: tuple[bytes, ...], deposit_wei: int | None = None) -> Receipt:
        """Accuse the members on `seats` of not having delivered; `digests` are all of the roster's, in order.

        An accusation of the same members that is on its way already is gone on with, whatever its deposit.

        Parameters
        ----------
        deposit_wei : int, optional
            Ether for each accused that pays those who answer; by default a quarter more than `answer_cost_wei`.
        """
        deposit_wei = usual_deposit_wei(self.answer_cost_wei()) if deposit_wei is None else deposit_wei
        value_wei = seats.bit_count() * (self.terms().accuse_fee_wei + deposit_wei)
        return self._send(Event.ACCUSE, round_number, seats, digests, value_wei=value_wei, any_value=True)

    def answer(self, round_number: int, seat: int, points: bytes, first: int, blobs: tuple[bytes, ...]) -> Receipt:
        """Answer for an accused with the polynomials from `first` on as blobs of 131,072 bytes; `points` are all of its points."""
        return self._send(Event.ANSWER, round_number, seat, points, first, len(blobs), blobs=blobs)

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
        """Pay out a credit and the ether that disputes freed."""
        return self._send(Event.WITHDRAW, account)

    def _ether(self, amount_wei: int) -> int:
        """What of an amount is sent along: all if the market pays in ether; of a token, the market is allowed to take it instead."""
        token = self.terms().token
        if token == ZERO_ADDRESS:
            return amount_wei
        if amount_wei:
            allow(self._connection, self._wallet, token, spender=self.address, amount_wei=amount_wei)
        return 0

    def _send(
        self, event: Event, *arguments: object, value_wei: int = 0, blobs: tuple[bytes, ...] = (), any_value: bool = False
    ) -> Receipt:
        payload = Payload(self.address, self._abi.call_data(event.value, *arguments), value_wei, blobs, any_value)
        mined = sender_for(self._connection, self._wallet).send(event.value, payload, self._refusals)
        return self._receipt(event, mined)

    def _receipt(self, event: Event, mined: Mined) -> Receipt:
        logs = {}
        for contract, topics, data in mined.logs:
            decoded = self._abi.log(topics, data) if contract == self.address else None
            if decoded is not None:
                logs[decoded[0]] = decoded[1]
        return Receipt(event.value, mined.transaction_hash, mined.block, mined.gas_used, mined.fee_wei, logs)
