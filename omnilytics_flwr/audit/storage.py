"""What a market remembers."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

from ..market.market_view import OwnerRecord
from ..market.roster import bitmap_of
from ..market.stage import Stage
from ..market.terms import Address

NO_HASH = bytes(32)
NOBODY = OwnerRecord(registered=False, seat=0, leave_at=0, claimed_through=0)


class Charge(NamedTuple):
    """An accusation of the open round, and what answers have left of its deposit."""

    digest: bytes
    deposit_wei: int
    refunded_wei: int = 0
    answered_polynomials: int = 0


class Payout(NamedTuple):
    """Who is paid by a finished round, as a bitmap of seats, and each one's share of the bond on top of the reward."""

    seats: int
    share_wei: int = 0


@dataclass(slots=True)
class Storage:
    """Everything that changes in a market.

    Attributes
    ----------
    stage : Stage
    epoch, round, opened_in_epoch : int
        Freezes, anchored tasks, and rounds opened since the last freeze.
    task_hash, epoch_seed, roster_hash : bytes, length 32
        Of the last anchored round (zeros once it is over), the last draw, the last opened round.
    open_by, settle_by, answer_by : int
        Unix seconds; deadlines of the last anchored round, the last opened round, and the accused of that round.
    draw_block : int
        Block whose prevrandao seeds the draw of the last freeze.
    members, enrolled, staked, slashed : int
        Bitmaps of seats: of this epoch, enrolled for the next, with a stake here, registered with their stake lost.
    groups : tuple of int
        Bitmap of the seats of each group of this epoch.
    roster : int
        Bitmap of the groups on the open roster; 0 if no round is open.
    seat_owners : dict of int to Address
        Who has, or last had, each seat.
    mask_keys, next_mask_keys : dict of int to bytes
    examples, next_examples : dict of int to int
        By seat, of this epoch and of the next.
    records : dict of Address to OwnerRecord
        Every registered data owner.
    payouts : dict of int to Payout
        Of each round that was settled or timed out.
    charges : dict of int to Charge
        Accusations of the open round, by seat.
    credits, refunds : dict of Address to int
        Wei that may be withdrawn: of closed escrows and burned stakes, and ether that disputes freed.
    escrow_wei, bond_wei, owed_wei : int
        The model owner's free money, its bond, all unclaimed pay.
    """

    stage: Stage = Stage.ENROLLING
    epoch: int = 0
    round: int = 0
    opened_in_epoch: int = 0
    task_hash: bytes = NO_HASH
    epoch_seed: bytes = NO_HASH
    roster_hash: bytes = NO_HASH
    open_by: int = 0
    settle_by: int = 0
    answer_by: int = 0
    draw_block: int = 0
    members: int = 0
    enrolled: int = 0
    staked: int = 0
    slashed: int = 0
    groups: tuple[int, ...] = ()
    roster: int = 0
    seat_owners: dict[int, Address] = field(default_factory=dict)
    mask_keys: dict[int, bytes] = field(default_factory=dict)
    next_mask_keys: dict[int, bytes] = field(default_factory=dict)
    examples: dict[int, int] = field(default_factory=dict)
    next_examples: dict[int, int] = field(default_factory=dict)
    records: dict[Address, OwnerRecord] = field(default_factory=dict)
    payouts: dict[int, Payout] = field(default_factory=dict)
    charges: dict[int, Charge] = field(default_factory=dict)
    credits: dict[Address, int] = field(default_factory=dict)
    refunds: dict[Address, int] = field(default_factory=dict)
    escrow_wei: int = 0
    bond_wei: int = 0
    owed_wei: int = 0

    def copy(self) -> Storage:
        """A copy that shares nothing that can change."""
        return replace(self, **{one.name: copy(getattr(self, one.name)) for one in fields(self)})

    @property
    def live(self) -> bool:
        """Whether `round` is one that may still be opened or settled."""
        return self.stage in (Stage.ANCHORED, Stage.OPEN)

    @property
    def finished(self) -> int:
        """The last round whose pay changes no more."""
        return self.round - self.live

    @property
    def accused(self) -> int:
        """Bitmap of the seats accused in the open round."""
        return bitmap_of(self.charges)

    def record(self, account: Address) -> OwnerRecord:
        """What is known of `account`; `NOBODY` if it has no seat."""
        return self.records.get(account, NOBODY)

    def roster_seats(self) -> tuple[int, ...]:
        """Bitmap of the seats of each group on the open roster, in order."""
        return tuple(seats for group, seats in enumerate(self.groups) if self.roster >> group & 1)

    def credit(self, account: Address, amount_wei: int) -> None:
        """Let `account` withdraw so much more."""
        if amount_wei:
            self.credits[account] = self.credits.get(account, 0) + amount_wei

    def refund(self, account: Address, amount_wei: int) -> None:
        """Free ether of a dispute for `account`."""
        if amount_wei:
            self.refunds[account] = self.refunds.get(account, 0) + amount_wei
