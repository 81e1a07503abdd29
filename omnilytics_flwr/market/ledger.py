"""The market as a party acts on it: one ledger for each role, whatever keeps the market.

Every transaction is defined here, once; `omnilytics_flwr.chain.ethereum_ledger` reads from a chain and sends to it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

from ..crypto.curve import POINT_BYTES
from ..crypto.digest import prove_points
from .dispute import usual_deposit_wei
from .draw import draw_order, epoch_seed, prevrandao_of
from .market_view import MarketView
from .refusals import WrongStage
from .stage import DRAWN, Event
from .terms import Address


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did.

    Attributes
    ----------
    event : str
        The market's event, e.g. ``"open"``.
    transaction_hash : str
        ``0x`` and 64 digits; empty in memory.
    block : int
        Block that holds it.
    gas_used : int
        0 in memory.
    fee_wei : int
        Gas used times the effective price.
    logs : dict of str to dict
        Fields of the market's events that it emitted, by event name.
    """

    event: str
    transaction_hash: str = ""
    block: int = 0
    gas_used: int = 0
    fee_wei: int = 0
    logs: dict[str, dict[str, object]] = field(default_factory=dict)


class AccountLedger(MarketView):
    """A market as one account sees it, with the transactions that anybody may send.

    Transactions raise `LedgerError` subclasses of `omnilytics_flwr.market.refusals` if the market refuses,
    `ChainError` subclasses if the chain cannot be reached or the account cannot pay.
    """

    @property
    @abstractmethod
    def account(self) -> Address:
        """The account that sends."""

    @abstractmethod
    def _send(self, event: Event, *arguments: object, value_wei: int = 0, blobs: tuple[bytes, ...] = ()) -> Receipt:
        """Call the market's function of the event's name; `arguments` are the contract's, a byte string for a list of signatures."""

    @abstractmethod
    def _header(self, block_number: int) -> bytes:
        """RLP header of a block, once contracts can ask for its hash."""

    def _ether_wei(self, amount_wei: int) -> int:
        """Part of a payment that is sent along as ether: all of it, unless the market is paid in a token."""
        return amount_wei

    def fund(self, amount_wei: int) -> Receipt:
        """Add to the escrow; raises `NotFunded` if the account does not hold the amount."""
        return self._send(Event.FUND, amount_wei, value_wei=self._ether_wei(amount_wei))

    def draw(self) -> Receipt:
        """Wait until the block of the draw is in history, then draw the groups.

        Returns
        -------
        Receipt
            Without a transaction if the groups are drawn already: anybody may draw, and somebody else was first.
        """
        state = self.state()
        if state.stage in DRAWN:
            return Receipt(Event.DRAW.value)
        header = self._header(state.draw_block)
        try:
            return self.draw_with(header)
        except WrongStage:
            if self.state().stage not in DRAWN:
                raise
            return Receipt(Event.DRAW.value)

    def draw_with(self, header: bytes) -> Receipt:
        """Draw the groups with the RLP header of the draw's block, as the caller has it."""
        seed = epoch_seed(prevrandao_of(header), self.state().epoch, self.address)
        order = draw_order(seed, {member.seat: member.owner for member in self.members()})
        return self._send(Event.DRAW, header, bytes(order))

    def answer(self, round_number: int, seat: int, points: bytes, first: int, blobs: tuple[bytes, ...], delivery: bytes = b"") -> Receipt:
        """Answer for an accused.

        Parameters
        ----------
        points : bytes, 96 for each polynomial of the update
            All of the accused's points, which its digest is of.
        first : int
            Polynomial of the first blob; not after the next that has not been answered.
        blobs : tuple of bytes, at least one of 131,072 bytes
            Polynomials from `first` on.
        delivery : bytes (default: none)
            In a projected market, with the last polynomial: projected digest and signature of the delivery, 96 bytes.
        """
        shown = points[POINT_BYTES * first : POINT_BYTES * (first + len(blobs))]
        proofs = prove_points(points, first, len(blobs))
        return self._send(Event.ANSWER, round_number, seat, first, shown, proofs, delivery, blobs=blobs)

    def timeout(self, round_number: int) -> Receipt:
        """Pay everybody on the roster of a round that was not settled in time."""
        return self._send(Event.TIMEOUT, round_number)

    def claim(self, owner: Address, through_round: int) -> Receipt:
        """Pay a data owner what finished rounds owe it."""
        return self._send(Event.CLAIM, owner, through_round)

    def depart(self, owner: Address | None = None) -> Receipt:
        """Give up the seat of `owner` (default: the account) and pay it its stake and what it is owed."""
        return self._send(Event.DEPART, owner or self.account)

    def withdraw(self, account: Address) -> Receipt:
        """Pay `account` its credit and the ether that disputes freed."""
        return self._send(Event.WITHDRAW, account)


class DataOwnerLedger(AccountLedger):
    """What a data owner is handed."""

    def join(self, mask_key: bytes, admission_data: bytes = b"", *, examples: int = 0) -> Receipt:
        """Register with the stake, or pay a slashed stake again, and enrol for the next epoch.

        Parameters
        ----------
        mask_key : bytes, length 32
            X25519 public key of the next epoch.
        admission_data : bytes (default: none)
            What the terms' admission contract asks for.
        examples : int, 0 .. 2^32 - 1 (default: 0)
            On how many examples the data owner trains, for `omnilytics_flwr.market.examples`; 0 states nothing.

        Raises
        ------
        NotFunded
            The account cannot pay the stake.
        """
        due_wei = self._ether_wei(self._due_wei())
        return self._send(Event.JOIN, self.terms().digest(), mask_key, examples, admission_data, value_wei=due_wei)

    def _due_wei(self) -> int:
        record = self.owner_record(self.account)
        # Who is leaving is refused; paying first would cost a token's owner an allowance for nothing.
        paid = record.registered and (record.leave_at or not self.state().slashed >> record.seat & 1)
        return 0 if paid else self.terms().stake_wei

    def leave(self) -> Receipt:
        """Give notice."""
        return self._send(Event.LEAVE)


class ModelOwnerLedger(AccountLedger):
    """What a model owner is handed."""

    def freeze(self) -> Receipt:
        """Fix the enrolled data owners as the next epoch."""
        return self._send(Event.FREEZE)

    def anchor(self, task_hash: bytes) -> Receipt:
        """Start a round with the task of this hash, 32 bytes."""
        return self._send(Event.ANCHOR, task_hash)

    def open(self, round_number: int, groups: int, roster_hash: bytes) -> Receipt:
        """Open the round.

        Parameters
        ----------
        groups : int
            Bitmap of the epoch's groups that form the roster.
        roster_hash : bytes, length 32
            Of the groups and the digests of all their members (`omnilytics_flwr.market.roster.roster_hash`).
        """
        return self._send(Event.OPEN, round_number, groups, roster_hash)

    def accuse(
        self,
        round_number: int,
        seats: int,
        digests: tuple[bytes, ...],
        signatures: tuple[bytes, ...],
        deposit_wei: int | None = None,
    ) -> Receipt:
        """Accuse members of not having delivered.

        Parameters
        ----------
        seats : int
            Bitmap of the accused members' seats.
        digests : tuple of bytes, each of length 32
            Of all members of the roster, group by group, by seat.
        signatures : tuple of bytes, each of length 64
            Of the accused members' commitments, in the order of the roster.
        deposit_wei : int, optional
            Ether for each accused that pays those who answer; by default a quarter more than `answer_cost_wei`.
        """
        deposit_wei = usual_deposit_wei(self.answer_cost_wei()) if deposit_wei is None else deposit_wei
        value_wei = seats.bit_count() * (self.terms().accuse_fee_wei + deposit_wei)
        return self._send(Event.ACCUSE, round_number, seats, digests, b"".join(signatures), value_wei=value_wei)

    def settle(self, round_number: int, settlement: bytes, signatures: tuple[bytes, ...], waived: int, next_task_hash: bytes) -> Receipt:
        """Settle the open round and anchor the next task.

        Parameters
        ----------
        settlement : bytes
            The proof (docs/specification/protocol.md section 7).
        signatures : tuple of bytes, each of length 64
            Of all members of groups taking part, in the order of the roster: of their commitments in an exact market, of their
            deliveries in a projected one.
        waived : int
            Bitmap of the groups that are paid and take no part.
        next_task_hash : bytes, length 32
            Zeros anchor nothing.
        """
        return self._send(Event.SETTLE, round_number, settlement, b"".join(signatures), waived, next_task_hash)

    def close(self) -> Receipt:
        """End the market and credit what is left to the model owner."""
        return self._send(Event.CLOSE)


class Ledger(ModelOwnerLedger, DataOwnerLedger):
    """All of a market's transactions, for an account in any role."""
