"""What a finished round pays, in exact integers (docs/protocol.md sections 2 and 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .roster import bits_of


@dataclass(frozen=True, slots=True)
class Payout:
    """Who is owed what by a finished round.

    Attributes
    ----------
    seats : int
        Bitmap of the seats that are paid.
    reward_wei : int
        Reward of each, from the escrow.
    share_wei : int
        Share of each in the bond; 0 unless the round timed out.
    remainder_wei : int
        What is left of a shared bond, less than one unit for each member; it goes to the escrow.
    """

    seats: int
    reward_wei: int
    share_wei: int = 0
    remainder_wei: int = 0

    @property
    def rewards_wei(self) -> int:
        """All rewards together."""
        return self.seats.bit_count() * self.reward_wei

    @property
    def shares_wei(self) -> int:
        """All shares of the bond together."""
        return self.seats.bit_count() * self.share_wei

    def due_wei(self, seat: int) -> int:
        """What the owner of `seat` is owed."""
        return (self.reward_wei + self.share_wei) * (self.seats >> seat & 1)


def settlement_payout(roster: Sequence[int], *, accepted: int, waived: int, reward_wei: int) -> Payout:
    """Payout of a settled round: one reward to each member of a group that was accepted or waived.

    Parameters
    ----------
    roster : sequence of int
        Bitmap of the seats of each group of the roster, in order.
    accepted, waived : int
        Bitmaps over roster positions.
    reward_wei : int
        The terms' reward.
    """
    seats = 0
    for position in bits_of(accepted | waived):
        seats |= roster[position]
    return Payout(seats, reward_wei)


def timeout_payout(roster: Sequence[int], *, reward_wei: int, bond_wei: int) -> Payout:
    """Payout of a round that was not settled in time: everybody gets the reward and an equal share of the bond.

    The share is rounded down; the remainder stays the model owner's.

    Parameters
    ----------
    roster : sequence of int
        Bitmap of the seats of each group of the roster, in order; not empty.
    reward_wei, bond_wei : int
        The terms' reward and the bond as it is.
    """
    seats = 0
    for group in roster:
        seats |= group
    share_wei, remainder_wei = divmod(bond_wei, seats.bit_count())
    return Payout(seats, reward_wei, share_wei, remainder_wei)
