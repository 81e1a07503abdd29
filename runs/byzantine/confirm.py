"""The same round on a chain: agents that mask and sign, a keeper that proves, a contract that verifies, selects and pays.

What `runs.byzantine.shortcut` says of a round must be what comes out here, distance by distance and wei by wei.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from omnilytics_flwr import Address, LocalMarket, OmnilyticsError, RoundReport, Terms
from omnilytics_flwr.adversary.forgers import Forges
from omnilytics_flwr.adversary.registry import rogue_of_home
from omnilytics_flwr.adversary.vectors import VectorAttack
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.owner_agent import OwnerAgent
from omnilytics_flwr.data_owner.owner_keys import OwnerKeys
from omnilytics_flwr.errors import TooFewGroups
from omnilytics_flwr.market.roster import bits_of
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper

from .shortcut import Decision, Offer, decide, groups_of

__all__ = ["Confirmation", "Seat", "confirm", "play_round", "seats_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """A data owner of a market on a chain, by its place in the drawn order.

    Attributes
    ----------
    owner : Address
    index : int
        Of its home and its ledger in the `LocalMarket`.
    """

    owner: Address
    index: int


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One round, on a chain and reckoned.

    Attributes
    ----------
    same_distances, same_groups, same_pay : bool
        Whether the chain came to the same.
    same_as_trained : bool
        Whether the training, whose rounding was drawn otherwise, saw the same groups accepted and paid.
    gas : int
        Of opening and settling.
    """

    same_distances: bool
    same_groups: bool
    same_pay: bool
    same_as_trained: bool
    gas: int

    @property
    def holds(self) -> bool:
        """Whether everything is the same."""
        return self.same_distances and self.same_groups and self.same_pay and self.same_as_trained


def seats_of(market: LocalMarket) -> tuple[Seat, ...]:
    """The data owners of a drawn market: group by group, in a group by seat."""
    members = {member.seat: member.owner for member in market.ledger.members()}
    index = {owner: number for number, owner in enumerate(market.owners)}
    groups = [market.ledger.group_seats(number) for number in range(len(members) // market.ledger.terms().group_size)]
    return tuple(Seat(members[seat], index[members[seat]]) for seats in groups for seat in bits_of(seats))


def confirm(market: LocalMarket, keeper: RoundKeeper, name: str, offers: Sequence[Offer], trained: Decision) -> Confirmation:
    """Play what was brought to a training's last round once more, on a chain.

    Parameters
    ----------
    market : LocalMarket
    keeper : RoundKeeper
        Of its model owner.
    name : str
        Of the attack; makes the task of the round another one.
    offers : sequence of Offer
        By place.
    trained : Decision
        What the training saw.
    """
    seats = seats_of(market)
    ledgers = market.owner_ledgers()
    task = keeper.anchor(TaskParts(keccak256(name.encode()), bytes(32), bytes(32)))
    agents = [_agent(market, seat, offer) for seat, offer in zip(seats, offers, strict=True)]
    report = play_round(keeper, task, agents, offers)
    keys = [OwnerKeys(market.homes[seat.index].path / "keys").rounding_key(task) for seat in seats]
    as_forged = [replace(offer, forge=_behind_mask(agent, task)) for agent, offer in zip(agents, offers, strict=True)]
    reckoned = decide(keeper.terms, as_forged, keys)
    owed = {place for place, seat in enumerate(seats) if _was_paid(ledgers[seat.index], task.round, seat.owner)}
    decision = _decision(keeper.terms, report, seats, owed)
    return Confirmation(
        same_distances=decision.distances == reckoned.distances,
        same_groups=decision.fates()[:-1] == reckoned.fates()[:-1],
        same_pay=decision.paid == reckoned.paid,
        same_as_trained=decision.fates() == trained.fates(),
        gas=sum(receipt.gas_used for receipt in report.receipts if receipt.event in ("open", "settle")),
    )


def play_round(
    keeper: RoundKeeper, task: TaskId, agents: Sequence[OwnerAgent], offers: Sequence[Offer], *, again: Sequence[int] = ()
) -> RoundReport:
    """A round from commitments to settlement; who refuses, or is refused, does without.

    Parameters
    ----------
    keeper : RoundKeeper
    task : TaskId
    agents : sequence of OwnerAgent
    offers : sequence of Offer
    again : sequence of int (default: none)
        Places of those who are asked to commit a second time.
    """
    by_owner: dict[Address, OwnerAgent] = {}
    for place in (*range(len(agents)), *again):
        try:
            commitment = agents[place].commit(task, offers[place].update)
            keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)
        except OmnilyticsError:
            continue
        by_owner[commitment.owner] = agents[place]
    try:
        digests = keeper.open()
    except TooFewGroups:
        return keeper.reports[-1]
    for owner in (member.owner for member in keeper.live.roster_members()):
        try:
            delivery = by_owner[owner].deliver(task.chain_id, keeper.ledger.address, task.epoch, task.round, digests)
            keeper.add_delivery(delivery.owner, delivery.vector, delivery.points, delivery.projected, delivery.signature)
        except OmnilyticsError:
            continue
    return keeper.settle(keeper.prove(), None)


def _agent(market: LocalMarket, seat: Seat, offer: Offer) -> OwnerAgent:
    home, ledger = market.homes[seat.index], market.owner_ledgers()[seat.index]
    if offer.forge is None:
        return home.agent_for(ledger)
    return rogue_of_home(home, ledger, "forges", attack=offer.forge)


def _behind_mask(agent: OwnerAgent, task: TaskId) -> VectorAttack | None:
    """What an attack on the masked vector does to the vector under the mask."""
    if not isinstance(agent, Forges):
        return None
    masked = agent.masked(task.chain_id, task.market, task.round)
    return lambda vector: agent.attack(masked) - (masked - vector)


def _was_paid(ledger: Any, round_number: int, owner: Address) -> bool:
    """Whether the contract says that the round pays the seat of `owner`."""
    return bool(ledger.paid_seats(round_number) >> ledger.owner_record(owner).seat & 1)


def _decision(terms: Terms, report: RoundReport, seats: Sequence[Seat], owed: set[int]) -> Decision:
    """What a report says, with groups by number in place of roster position."""
    committed = set(report.committed)
    groups = groups_of(len(seats), terms.group_size)
    absent = tuple(number for number, places in enumerate(groups) if any(seats[place].owner not in committed for place in places))
    present = [number for number in range(len(groups)) if number not in absent]

    def numbers(positions: Sequence[int]) -> tuple[int, ...]:
        return tuple(present[position] for position in positions)

    return Decision(
        opened=report.settled,
        absent=absent,
        accepted=numbers(report.accepted),
        learnt=numbers(report.learnt),
        ineligible=numbers(report.ineligible),
        dropped=numbers(report.dropped),
        waived=numbers(report.waived),
        paid=frozenset(owed),
        distances=report.distances,
    )
