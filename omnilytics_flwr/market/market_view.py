"""What a market tells anybody who asks. Amounts are wei (or a token's smallest unit), times are Unix seconds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .stage import Stage
from .terms import Address, Terms

if TYPE_CHECKING:
    from .scheme import Scheme


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
        Most that those who answer are refunded, all together.
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
    """A data owner of the present epoch; `examples` is what it stated when it joined, 0 if nothing."""

    owner: Address
    seat: int
    mask_key: bytes
    examples: int = 0


class MarketView(ABC):
    """What a market tells anybody who asks.

    Reads raise `ChainError` subclasses if the chain cannot be reached.
    """

    @property
    @abstractmethod
    def address(self) -> Address:
        """The market's address."""

    @property
    @abstractmethod
    def chain_id(self) -> int:
        """EIP-155 chain id."""

    @property
    @abstractmethod
    def model_owner(self) -> Address:
        """Who pays."""

    @property
    @abstractmethod
    def block_number(self) -> int:
        """Number of the block that is read."""

    @abstractmethod
    def now(self) -> int:
        """Timestamp that the next transaction may expect: the later of clock and last block."""

    @abstractmethod
    def terms(self) -> Terms:
        """The market's terms, read once."""

    @abstractmethod
    def scheme(self) -> Scheme:
        """How updates are packed, committed to and settled here: what the terms and their verification's code ask for; read once."""

    @abstractmethod
    def state(self, confirmations: int = 0) -> MarketState:
        """The latest state, or that of the block with so many `confirmations`."""

    def look(self) -> tuple[MarketState, int]:
        """`state` and `now` together."""
        return self.state(), self.now()

    @abstractmethod
    def owner_record(self, account: Address) -> OwnerRecord:
        """What the market knows of `account` as data owner."""

    @abstractmethod
    def members(self) -> tuple[Member, ...]:
        """Members of the present epoch, by seat."""

    @abstractmethod
    def group_seats(self, group: int) -> int:
        """Bitmap of the seats of a group of the present epoch; 0 if there is none."""

    @abstractmethod
    def paid_seats(self, round_number: int) -> int:
        """Bitmap of the seats that a finished round pays."""

    @abstractmethod
    def bond_share_wei(self, round_number: int) -> int:
        """What each member of a timed-out round gets on top of the reward."""

    @abstractmethod
    def claimable_wei(self, account: Address) -> int:
        """What `account` would get by claiming now."""

    @abstractmethod
    def blobs(self) -> int:
        """Blobs that a transaction of this chain may carry, 0 on a chain without; read once."""

    @abstractmethod
    def answer_cost_wei(self) -> int:
        """Least deposit for one accused at the present fees: what answering may cost."""

    @abstractmethod
    def accusation(self, seat: int) -> Accusation:
        """The accusation of a seat in the open round; all zeros if there is none."""

    @abstractmethod
    def answered_vector(self, round_number: int, seat: int) -> bytes:
        """The vector with which the accused of `seat` answered, from the chain's blobs: 131,072 bytes for each polynomial.

        Raises
        ------
        BlobsMissing
            The accused did not answer in full, or nobody keeps the blobs any more.
        """

    @abstractmethod
    def answered_delivery(self, round_number: int, seat: int) -> bytes:
        """What came with that vector in a projected market: projected digest and signature of the delivery, 96 bytes.

        Raises
        ------
        BlobsMissing
            The accused did not answer in full.
        """

    @abstractmethod
    def check_points(self, points: bytes) -> bool:
        """Whether the terms' verification takes these points, which a settlement shows of a member.

        Raises
        ------
        VerificationWrongLength
            They are not 96 bytes for each polynomial that is proven.
        """
