"""What a market remembers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from omnilytics_flwr.market.market_view import OwnerRecord
from omnilytics_flwr.market.roster import bitmap_of
from omnilytics_flwr.market.terms import Address

from .payout import Payout
from .round import Round

NO_HASH = bytes(32)
NOBODY = OwnerRecord(registered=False, seat=0, leave_at=0, claimed_through=0)


@dataclass(frozen=True, slots=True)
class Charge:
    """An accusation of the open round, and what is left of its deposit."""

    digest: bytes
    deposit_wei: int
    left_wei: int
    answered_polynomials: int = 0


@dataclass(slots=True)
class Storage:
    """Everything that changes in a market.

    Attributes
    ----------
    where : Round
        Stage, epoch and round.
    open_by, settle_by, answer_by : int
        Deadlines of the last anchored and of the last opened round, and of those accused in it, in Unix seconds.
    draw_block : int
        Block whose prevrandao seeds the draw of the last freeze.
    epoch_seed, roster_hash : bytes, length 32
        Of the last draw and of the last opened round.
    members, enrolled, staked, slashed : int
        Bitmaps of seats: of this epoch, enrolled for the next, with their stake here, registered with a stake lost.
    groups : tuple of int
        Bitmaps of the seats of this epoch's groups.
    seat_owners : dict of int to Address
        Who has or last had each seat.
    mask_keys, next_mask_keys : dict of int to bytes
        By seat, of this epoch and of the next.
    records : dict of Address to OwnerRecord
        What is known of every registered data owner.
    payouts : dict of int to Payout
        What each finished round pays; rounds that were never settled have none.
    credits : dict of Address to int
        What may be withdrawn, by account.
    charges : dict of int to Charge
        Accusations of the open round by seat.
    refunds : dict of Address to int
        Ether that disputes have freed, by account.
    escrow_wei, bond_wei, owed_wei : int
        The model owner's free money and bond, all unclaimed rewards and shares.
    """

    where: Round = field(default_factory=Round)
    open_by: int = 0
    settle_by: int = 0
    answer_by: int = 0
    draw_block: int = 0
    epoch_seed: bytes = NO_HASH
    roster_hash: bytes = NO_HASH
    members: int = 0
    enrolled: int = 0
    staked: int = 0
    slashed: int = 0
    groups: tuple[int, ...] = ()
    seat_owners: dict[int, Address] = field(default_factory=dict)
    mask_keys: dict[int, bytes] = field(default_factory=dict)
    next_mask_keys: dict[int, bytes] = field(default_factory=dict)
    records: dict[Address, OwnerRecord] = field(default_factory=dict)
    payouts: dict[int, Payout] = field(default_factory=dict)
    credits: dict[Address, int] = field(default_factory=dict)
    charges: dict[int, Charge] = field(default_factory=dict)
    refunds: dict[Address, int] = field(default_factory=dict)
    escrow_wei: int = 0
    bond_wei: int = 0
    owed_wei: int = 0

    def copy(self) -> Storage:
        """A copy that shares nothing that can change."""
        return replace(
            self,
            seat_owners=dict(self.seat_owners),
            mask_keys=dict(self.mask_keys),
            next_mask_keys=dict(self.next_mask_keys),
            records=dict(self.records),
            payouts=dict(self.payouts),
            credits=dict(self.credits),
            charges=dict(self.charges),
            refunds=dict(self.refunds),
        )

    @property
    def credits_wei(self) -> int:
        """All credits together."""
        return sum(self.credits.values())

    @property
    def accused(self) -> int:
        """Bitmap of the seats accused in the open round."""
        return bitmap_of(self.charges)

    def credit(self, account: Address, amount_wei: int) -> None:
        """Let `account` withdraw so much more."""
        if amount_wei:
            self.credits[account] = self.credits.get(account, 0) + amount_wei

    def refund(self, account: Address, amount_wei: int) -> None:
        """Free ether of a dispute for `account`."""
        if amount_wei:
            self.refunds[account] = self.refunds.get(account, 0) + amount_wei

    def record(self, account: Address) -> OwnerRecord:
        """What is known of `account`; `NOBODY` if it has no seat."""
        return self.records.get(account, NOBODY)

    def roster_seats(self) -> tuple[int, ...]:
        """Bitmap of the seats of each group on the open roster, in order; none if no round is open."""
        return tuple(seats for group, seats in enumerate(self.groups) if self.where.groups >> group & 1)
