"""What a finished round pays, in exact integers (docs/protocol.md sections 2 and 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omnilytics_flwr.market.roster import bits_of
from omnilytics_flwr.market.terms import Terms


@dataclass(frozen=True, slots=True)
class Payout:
    """Who is owed what by a finished round.

    Attributes
    ----------
    seats : int
        Bitmap of the seats that are paid.
    reward_wei : int
        Reward of each, from the escrow unless the seat is compensated.
    share_wei : int
        Share of each in the bond; 0 unless the round timed out.
    remainder_wei : int
        What is left of a shared bond, less than one unit for each member, or all if nobody is paid; it goes to the escrow.
    compensated : int
        Bitmap of those paid seats whose reward comes from the stakes of others in their group.
    slashed : int
        Bitmap of the seats that lose their stake.
    burned_wei : int
        What compensation leaves of the lost stakes.
    """

    seats: int
    reward_wei: int
    share_wei: int = 0
    remainder_wei: int = 0
    compensated: int = 0
    slashed: int = 0
    burned_wei: int = 0

    @property
    def rewards_wei(self) -> int:
        """All rewards that the escrow pays, together."""
        return (self.seats & ~self.compensated).bit_count() * self.reward_wei

    @property
    def compensation_wei(self) -> int:
        """All rewards that lost stakes pay, together."""
        return self.compensated.bit_count() * self.reward_wei

    @property
    def shares_wei(self) -> int:
        """All shares of the bond together."""
        return self.seats.bit_count() * self.share_wei

    def due_wei(self, seat: int) -> int:
        """What the owner of `seat` is owed."""
        return (self.reward_wei + self.share_wei) * (self.seats >> seat & 1)


def settlement_payout(roster: Sequence[int], terms: Terms, *, accepted: int, waived: int, void: int = 0, lapsed_seats: int = 0) -> Payout:
    """Payout of a settled round: one reward to each member of a group that was accepted or waived, or that is void through others.

    A stake is worth a reward for every member of a group and one more, so that the stakes lost in a void group pay the rest of it.

    Parameters
    ----------
    roster : sequence of int
        Bitmap of the seats of each group of the roster, in order.
    terms : Terms
        For reward and stake.
    accepted, waived, void : int
        Bitmaps over roster positions, no position in two of them.
    lapsed_seats : int
        Bitmap of the seats whose accusation has lapsed; those in void groups lose their stake.
    """
    in_void = _seats_at(roster, void)
    slashed, compensated = in_void & lapsed_seats, in_void & ~lapsed_seats
    return Payout(
        seats=_seats_at(roster, accepted | waived) | compensated,
        reward_wei=terms.reward_wei,
        compensated=compensated,
        slashed=slashed,
        burned_wei=slashed.bit_count() * terms.stake_wei - compensated.bit_count() * terms.reward_wei,
    )


def timeout_payout(roster: Sequence[int], *, reward_wei: int, bond_wei: int, lapsed_seats: int = 0) -> Payout:
    """Payout of a round that was not settled in time: all but the lapsed get the reward and an equal share of the bond.

    The share is rounded down; the remainder stays the model owner's, and so does the bond if all have lapsed.

    Parameters
    ----------
    roster : sequence of int
        Bitmap of the seats of each group of the roster, in order; not empty.
    reward_wei, bond_wei : int
        The terms' reward and the bond as it is.
    lapsed_seats : int
        Bitmap of the seats whose accusation has lapsed.
    """
    seats = sum(roster) & ~lapsed_seats
    if seats == 0:
        return Payout(seats, reward_wei, remainder_wei=bond_wei)
    share_wei, remainder_wei = divmod(bond_wei, seats.bit_count())
    return Payout(seats, reward_wei, share_wei, remainder_wei)


def _seats_at(roster: Sequence[int], positions: int) -> int:
    """Bitmap of the seats of the groups at these roster positions; no seat is in two groups."""
    return sum(roster[position] for position in bits_of(positions))
