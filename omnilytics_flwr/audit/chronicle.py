"""The story of a market, told from its events alone: epochs, rounds, and what became of every data owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..market.draw import cut_groups
from ..market.roster import bits_of
from ..market.terms import Address, Terms
from .history import MarketTransaction


class Outcome(Enum):
    """What became of a round."""

    ANCHORED = "anchored"
    OPEN = "open"
    SETTLED = "settled"
    TIMED_OUT = "timed out"
    NEVER_OPENED = "never opened"


@dataclass(slots=True)
class EpochStory:
    """An epoch: seats of its members, who has them, and the seats of each group once they are drawn. Times are Unix seconds."""

    number: int
    draw_block: int
    frozen_at: int
    owners: Mapping[int, Address]
    groups: tuple[tuple[int, ...], ...] = ()
    drawn_at: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """An accusation of some seats, or the answer of one for its polynomials up to `answered`; `at` is in Unix seconds."""

    at: int
    seats: tuple[int, ...]
    sender: Address
    answered: int | None = None


@dataclass(slots=True)
class RoundStory:
    """A round. Groups are numbers within the epoch; times are Unix seconds, 0 if there is none.

    Attributes
    ----------
    roster : tuple of int
        Groups that it was opened with; each is then accepted, dropped, waived or void, once it is settled.
    paid_seats, slashed_seats : tuple of int
    paid_each_wei : int
        Reward, and share of the bond if it timed out.
    gas, fees_wei : dict of str to int
        By event; of all who sent.
    """

    number: int
    epoch: int
    task_hash: bytes
    anchored_at: int
    open_by: int
    outcome: Outcome = Outcome.ANCHORED
    opened_at: int = 0
    settle_by: int = 0
    ended_at: int = 0
    roster: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    waived: tuple[int, ...] = ()
    void: tuple[int, ...] = ()
    paid_seats: tuple[int, ...] = ()
    slashed_seats: tuple[int, ...] = ()
    paid_each_wei: int = 0
    burned_wei: int = 0
    incidents: list[Incident] = field(default_factory=list)
    gas: dict[str, int] = field(default_factory=dict)
    fees_wei: dict[str, int] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether its pay changes no more."""
        return self.outcome not in (Outcome.ANCHORED, Outcome.OPEN)


@dataclass(slots=True)
class OwnerStory:
    """What became of a data owner; times are Unix seconds, 0 if there is none. `paid_wei` is what it claimed, or got when it departed."""

    address: Address
    seat: int
    joined_at: int
    epoch: int = 0
    leave_at: int = 0
    departed_at: int = 0
    earned_wei: int = 0
    paid_wei: int = 0
    paid_rounds: int = 0
    rounds: int = 0
    slashed: int = 0


class Chronicle:
    """What a market's events tell; `add` each transaction in the order of the chain.

    Attributes
    ----------
    epochs : dict of int to EpochStory
    rounds : dict of int to RoundStory
    owners : dict of Address to OwnerStory
    funded_wei, fees_wei : int
        All that was ever paid into the escrow, and for all transactions.
    closed_at : int
        Unix seconds; 0 while the market lives.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._enrolled: dict[int, dict[int, Address]] = {}
        self.epochs: dict[int, EpochStory] = {}
        self.rounds: dict[int, RoundStory] = {}
        self.owners: dict[Address, OwnerStory] = {}
        self.funded_wei = self.fees_wei = self.closed_at = 0

    def add(self, transaction: MarketTransaction) -> None:
        """Tell a transaction's events."""
        self.fees_wei += transaction.fee_wei
        for name, fields in transaction.logs:
            tell = getattr(self, f"_{name.lower()}", None)
            if tell is not None:
                tell(dict(fields), transaction)
        self._charge(transaction)

    def _joined(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        owner, seat, epoch = Address(fields["owner"]), int(fields["seat"]), int(fields["epoch"])
        self._enrolled.setdefault(epoch, {})[seat] = owner
        story = self.owners.get(owner)
        if story is None:
            story = self.owners[owner] = OwnerStory(owner, seat, transaction.timestamp)
        story.seat, story.epoch, story.leave_at, story.departed_at = seat, epoch, 0, 0

    def _left(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        self._owner(fields, transaction).leave_at = int(fields["leaveAt"])

    def _departed(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        story = self._owner(fields, transaction)
        story.departed_at = transaction.timestamp
        story.paid_wei += int(fields["amountWei"])

    def _claimed(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        self._owner(fields, transaction).paid_wei += int(fields["amountWei"])

    def _funded(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        self.funded_wei += int(fields["amountWei"])

    def _frozen(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        self._end_anchored(transaction)
        number = int(fields["epoch"])
        enrolled = self._enrolled.get(number, {})
        owners = {seat: enrolled[seat] for seat in bits_of(int(fields["members"])) if seat in enrolled}
        self.epochs[number] = EpochStory(number, int(fields["drawBlock"]), transaction.timestamp, owners)

    def _drawn(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        epoch = self.epochs.get(int(fields["epoch"]))
        if epoch is None:
            return
        groups = cut_groups(bytes(fields["order"]), self._terms.group_size)
        epoch.groups, epoch.drawn_at = tuple(tuple(sorted(group)) for group in groups), transaction.timestamp

    def _anchored(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        self._end_anchored(transaction)
        number = int(fields["round"])
        numbers = (number, int(fields["epoch"]), bytes(fields["taskHash"]), transaction.timestamp, int(fields["openBy"]))
        self.rounds[number] = RoundStory(*numbers)

    def _opened(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        story = self._round(fields)
        story.outcome, story.opened_at, story.settle_by = Outcome.OPEN, transaction.timestamp, int(fields["settleBy"])
        story.roster = bits_of(int(fields["groups"]))

    def _accused(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        self._round(fields).incidents.append(Incident(transaction.timestamp, bits_of(int(fields["seats"])), transaction.sender))

    def _answered(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        answered = int(fields["from"]) + int(fields["count"])
        incident = Incident(transaction.timestamp, (int(fields["seat"]),), transaction.sender, answered)
        self._round(fields).incidents.append(incident)

    def _voided(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        story = self._round(fields)
        story.void, story.slashed_seats = bits_of(int(fields["groups"])), bits_of(int(fields["slashedSeats"]))
        story.burned_wei = int(fields["burnedWei"])
        for owner in self._owners_of(story, story.slashed_seats):
            owner.slashed += 1

    def _settled(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        story = self._round(fields)
        story.accepted, story.waived = bits_of(int(fields["accepted"])), bits_of(int(fields["waived"]))
        story.dropped = tuple(sorted(set(story.roster) - {*story.accepted, *story.waived, *story.void}))
        self._pay(story, Outcome.SETTLED, int(fields["paidSeats"]), self._terms.reward_wei, transaction)

    def _timedout(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        each_wei = self._terms.reward_wei + int(fields["bondShareWei"])
        self._pay(self._round(fields), Outcome.TIMED_OUT, int(fields["paidSeats"]), each_wei, transaction)

    def _closed(self, fields: dict[str, Any], transaction: MarketTransaction) -> None:
        self._end_anchored(transaction)
        self.closed_at = transaction.timestamp

    def _pay(self, story: RoundStory, outcome: Outcome, seats: int, each_wei: int, transaction: MarketTransaction) -> None:
        story.outcome, story.ended_at = outcome, transaction.timestamp
        story.paid_seats, story.paid_each_wei = bits_of(seats), each_wei if seats else 0
        groups = self.epochs[story.epoch].groups if story.epoch in self.epochs else ()
        for owner in self._owners_of(story, tuple(seat for group in story.roster if group < len(groups) for seat in groups[group])):
            owner.rounds += 1
        for owner in self._owners_of(story, story.paid_seats):
            owner.paid_rounds += 1
            owner.earned_wei += each_wei

    def _end_anchored(self, transaction: MarketTransaction) -> None:
        """The task of the last round, if it was never opened, is anchored no more."""
        last = self.rounds.get(max(self.rounds, default=0))
        if last is not None and last.outcome is Outcome.ANCHORED:
            last.outcome, last.ended_at = Outcome.NEVER_OPENED, transaction.timestamp

    def _charge(self, transaction: MarketTransaction) -> None:
        """Note gas and fee of a transaction with the round that it is about."""
        about = [(name, fields) for name, fields in transaction.logs if "round" in fields]
        if not about:
            return
        name, fields = about[0]
        name = {"Voided": "Settled", "Delivered": "Answered"}.get(name, name)
        story = self._round(dict(fields))
        story.gas[name] = story.gas.get(name, 0) + transaction.gas_used
        story.fees_wei[name] = story.fees_wei.get(name, 0) + transaction.fee_wei

    def _round(self, fields: dict[str, Any]) -> RoundStory:
        number = int(fields["round"])
        # Of a round that began before the first block that was read nothing else is known.
        return self.rounds.setdefault(number, RoundStory(number, int(fields["epoch"]), bytes(32), 0, 0))

    def _owner(self, fields: dict[str, Any], transaction: MarketTransaction) -> OwnerStory:
        owner = Address(fields["owner"])
        return self.owners.setdefault(owner, OwnerStory(owner, int(fields.get("seat", 0)), transaction.timestamp))

    def _owners_of(self, story: RoundStory, seats: tuple[int, ...]) -> list[OwnerStory]:
        epoch = self.epochs.get(story.epoch)
        addresses = [epoch.owners[seat] for seat in seats if seat in epoch.owners] if epoch is not None else []
        return [self.owners[address] for address in addresses if address in self.owners]
