"""The port: what the market needs from a ledger, whoever keeps it.

`tests.oracle` keeps it in memory and is the executable specification of the contract;
`omnilytics_flwr.chain.ethereum_ledger` keeps it on a chain. Amounts are wei (or a token's smallest unit), times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from .stage import Stage
from .terms import Address, Terms


@dataclass(frozen=True, slots=True)
class MarketState:
    """Everything about a market that changes, but for its owners; the contract's struct of the same name.

    `groups` is a bitmap of the groups on the open roster; `members`, `enrolled` and `staked` are bitmaps of seats, and so are `accused`
    and `answered`, which are 0 unless a round is open, and `slashed`: registered without a stake, which a dispute took. `answer_by` is 0
    unless the open round has an accusation. `disputes_wei` is ether: of accusations, or freed by them and not yet withdrawn.
    """

    stage: Stage
    epoch: int
    round: int
    opened_in_epoch: int
    open_by: int
    settle_by: int
    draw_block: int
    task_hash: bytes
    roster_hash: bytes
    groups: int
    epoch_seed: bytes
    members: int
    enrolled: int
    staked: int
    escrow_wei: int
    bond_wei: int
    stakes_wei: int
    owed_wei: int
    credits_wei: int
    answer_by: int
    accused: int
    answered: int
    slashed: int
    disputes_wei: int


@dataclass(frozen=True, slots=True)
class Accusation:
    """An accusation of the open round.

    Attributes
    ----------
    digest : bytes, length 32
        What the accused committed to; zeros if the seat is not accused.
    deposit_wei : int
        What those who answer are freed, all together.
    answered_polynomials : int
        Polynomials that were answered, from the first.
    """

    digest: bytes
    deposit_wei: int
    answered_polynomials: int


@dataclass(frozen=True, slots=True)
class OwnerRecord:
    """What a market knows of an account as data owner."""

    registered: bool
    seat: int
    leave_at: int
    claimed_through: int


@dataclass(frozen=True, slots=True)
class Member:
    """A data owner of the present epoch."""

    owner: Address
    seat: int
    mask_key: bytes


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


class Ledger(Protocol):
    """One market as one account sees it.

    Transactions raise `LedgerError` subclasses of `omnilytics_flwr.market.refusals` if the market refuses,
    `ChainError` subclasses if the chain cannot be reached or the account cannot pay.
    """

    @property
    def account(self) -> Address:
        """The account that sends."""

    @property
    def address(self) -> Address:
        """The market's address."""

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""

    @property
    def model_owner(self) -> Address:
        """Who pays."""

    def now(self) -> int:
        """Timestamp that the next transaction may expect: the later of clock and last block."""

    def terms(self) -> Terms:
        """The market's terms, read once."""

    def state(self, confirmations: int = 0) -> MarketState:
        """Present state, or that on which so many blocks have been mined."""

    def owner_record(self, account: Address) -> OwnerRecord:
        """What the market knows of `account`."""

    def members(self) -> tuple[Member, ...]:
        """Members of the present epoch, by seat."""

    def group_seats(self, group: int) -> int:
        """Bitmap of the seats of a group of the present epoch; 0 if there is none."""

    def paid_seats(self, round_number: int) -> int:
        """Bitmap of the seats that a finished round pays."""

    def bond_share_wei(self, round_number: int) -> int:
        """What a timed-out round pays on top of the reward."""

    def claimable_wei(self, account: Address) -> int:
        """What `account` would get by claiming now."""

    def answer_cost_wei(self) -> int:
        """Least deposit for one accused at the present fees: what answering may cost."""

    def accusation(self, seat: int) -> Accusation:
        """The accusation of a seat in the open round; all zeros if there is none."""

    def answered_vector(self, round_number: int, seat: int) -> bytes:
        """The vector with which the accused of `seat` answered in the round, from the chain's blobs.

        Raises
        ------
        ChainError
            It did not answer in full, or nobody keeps the blobs any more.
        """

    def check_points(self, points: bytes) -> bool:
        """The check that the verification applies to a delivery's points."""

    def join(self, mask_key: bytes, admission_data: bytes = b"") -> Receipt:
        """Register, paying the stake, if new, or pay a lost one again; enrol for the next epoch."""

    def leave(self) -> Receipt:
        """Give notice."""

    def depart(self, owner: Address | None = None) -> Receipt:
        """Give up the seat of `owner` (default: the account) and pay it its stake and what it is owed."""

    def fund(self, amount_wei: int) -> Receipt:
        """Add to the escrow."""

    def freeze(self) -> Receipt:
        """Fix the enrolled data owners as the next epoch."""

    def draw(self) -> Receipt:
        """Draw the groups, with the header of the draw's block as the ledger has it; waits for that block."""

    def anchor(self, task_hash: bytes) -> Receipt:
        """Start a round with this task."""

    def open(self, round_number: int, groups: int, digests: tuple[bytes, ...], signatures: tuple[bytes, ...]) -> Receipt:
        """Open the round; signatures are 64 bytes each (EIP-2098)."""

    def accuse(self, round_number: int, seats: int, digests: tuple[bytes, ...], deposit_wei: int | None = None) -> Receipt:
        """Accuse the members on `seats` of not having delivered; `digests` are all of the roster's, in order.

        `deposit_wei` of ether, for each accused, pays those who answer; by default a quarter more than `answer_cost_wei`.
        """

    def answer(self, round_number: int, seat: int, points: bytes, first: int, blobs: tuple[bytes, ...]) -> Receipt:
        """Answer for an accused with the polynomials from `first` on as blobs of 131,072 bytes; `points` are all of its points."""

    def settle(self, round_number: int, settlement: bytes, waived: int, next_task_hash: bytes) -> Receipt:
        """Settle the open round; `waived` is a bitmap of groups, zeros for `next_task_hash` anchor nothing."""

    def timeout(self, round_number: int) -> Receipt:
        """Pay everybody on the roster of a round that was not settled in time."""

    def claim(self, owner: Address, through_round: int) -> Receipt:
        """Pay a data owner what finished rounds owe it."""

    def close(self) -> Receipt:
        """End the market and credit what is left to the model owner."""

    def withdraw(self, account: Address) -> Receipt:
        """Pay out a credit and the ether that disputes freed."""
