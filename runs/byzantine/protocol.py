"""Owner agents that break the protocol, each in a market of its own on a chain: what comes of it, for everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from omnilytics_flwr import LocalMarket, OmnilyticsError, RoundReport, Terms
from omnilytics_flwr.adversary.registry import rogue_of_home
from omnilytics_flwr.clock import Clock
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.market.task import TaskParts
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper

from ..audit.verdict import audited
from .confirm import Seat, play_round, seats_of
from .recipe import Recipe, terms_of
from .shortcut import Offer, groups_of

__all__ = ["MISDEEDS", "Misdeed", "Outcome", "play"]

WEIGHTS = 100
ATTACKER, VICTIM = 0, 5
"""Places: one of the first group, and one of another whose name the impersonator uses."""
POLL_SECONDS = 600.0
"""Of the chain's time, between two looks at an accusation."""
FATES = ("accepted", "ineligible", "dropped", "waived", "void")


@dataclass(frozen=True, slots=True)
class Misdeed:
    """One misbehaviour.

    Attributes
    ----------
    name : str
        In the kit.
    rounds : int
        How many are played: replays need two.
    options : callable
        From the market's seats to what the rogue takes besides.
    """

    name: str
    rounds: int = 1
    options: Callable[[tuple[Seat, ...]], dict[str, Any]] = field(default=lambda seats: {})


MISDEEDS = (
    Misdeed("never-commits"),
    Misdeed("never-delivers"),
    Misdeed("leaves"),
    Misdeed("delivers-another"),
    Misdeed("delivers-wrong-length"),
    Misdeed("delivers-not-canonical"),
    Misdeed("commits-to-garbage"),
    Misdeed("signs-two"),
    Misdeed("replays-commitment", rounds=2),
    Misdeed("replays-delivery", rounds=2),
    Misdeed("impersonates", options=lambda seats: {"victim": seats[VICTIM].owner}),
    Misdeed("joins-with-key"),
)
"""Every attack of family ``agent``, but for lateness, which is not answering as far as a market can see, for forged vectors, and for
wrong projections, which an exact market does not ask for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the last round of a misdeed came to.

    Attributes
    ----------
    name : str
    fate : str
        Of the attacker's group: ``absent`` if it was not on the roster, else one of `FATES`.
    refused : str
        The error with which the market refused the attacker at once; empty if it did not.
    settled : bool
    attacker_paid_wei, stake_lost_wei : int
    comrades_paid, others_paid : float
        Rewards a head of the attacker's group's other members, and of everybody else.
    audit : dict
        What an audit of its market comes to.
    """

    name: str
    fate: str
    refused: str
    settled: bool
    attacker_paid_wei: int
    stake_lost_wei: int
    comrades_paid: float
    others_paid: float
    audit: dict[str, Any]


def play(recipe: Recipe, misdeed: Misdeed) -> Outcome:
    """Play one misdeed in a new market on a new chain; who does not deliver is accused."""
    few = replace(recipe.market, faulty_groups=recipe.misdeeds.faulty_groups)
    recipe = replace(recipe, market=few, data=replace(recipe.data, owners=recipe.misdeeds.owners))
    terms = terms_of(recipe, rounds=misdeed.rounds, weights=WEIGHTS)
    with LocalMarket(terms, num_owners=recipe.data.owners, computed=recipe.market.is_computed) as market:
        return _Game(recipe, market, misdeed).play()


class _Game:
    """One market, in which one data owner misbehaves."""

    def __init__(self, recipe: Recipe, market: LocalMarket, misdeed: Misdeed) -> None:
        self._market, self._misdeed = market, misdeed
        self._seats = seats_of(market)
        self._ledgers = market.owner_ledgers()
        attacker = self._seats[ATTACKER]
        options = misdeed.options(self._seats)
        self._rogue = rogue_of_home(market.homes[attacker.index], self._ledgers[attacker.index], misdeed.name, **options)
        self._agents = [market.homes[seat.index].agent_for(self._ledgers[seat.index]) for seat in self._seats]
        self._rng = np.random.default_rng([recipe.seed, 2])
        self._refused = ""

    def play(self) -> Outcome:
        terms = self._market.ledger.terms()
        keeper = RoundKeeper(self._market.ledger, missing="accuse", clock=Clock(self._let_pass, POLL_SECONDS))
        self._try_to_join()
        for number in range(1, self._misdeed.rounds):
            self._round(keeper, number)
        owed_before = {seat: self._owed(seat) for seat in self._seats}
        report = self._round(keeper, self._misdeed.rounds)
        paid = [self._owed(seat) - owed_before[seat] for seat in self._seats]
        comrades = [place for place in groups_of(len(self._seats), terms.group_size)[0] if place != ATTACKER]
        others = [place for place in range(len(self._seats)) if place != ATTACKER and place not in comrades]
        return Outcome(
            self._misdeed.name,
            self._fate(report),
            self._refused,
            report.settled,
            attacker_paid_wei=paid[ATTACKER],
            stake_lost_wei=self._stake_lost(terms),
            comrades_paid=sum(paid[place] for place in comrades) / (len(comrades) * terms.reward_wei),
            others_paid=sum(paid[place] for place in others) / (len(others) * terms.reward_wei),
            audit=audited(self._market.ledger),
        )

    def _round(self, keeper: RoundKeeper, number: int) -> RoundReport:
        task = keeper.anchor(TaskParts(keccak256(b"misdeed" + word(number)), bytes(32), bytes(32)))
        agents = [self._rogue if place == ATTACKER else agent for place, agent in enumerate(self._agents)]
        common = self._rng.normal(0.0, 0.05, WEIGHTS)
        offers = [Offer(common + self._rng.normal(0.0, 0.005, WEIGHTS)) for _ in agents]
        return play_round(keeper, task, agents, offers, again=[ATTACKER])

    def _try_to_join(self) -> None:
        """Enrol for the next epoch, as everybody must in time."""
        try:
            self._rogue.join()
        except OmnilyticsError as error:
            self._refused = type(error).__name__

    def _fate(self, report: RoundReport) -> str:
        """What became of the attacker's group."""
        owner = self._seats[ATTACKER].owner
        position = next((place for place, group in enumerate(report.roster) if owner in group), None)
        return "absent" if position is None else next(fate for fate in FATES if position in getattr(report, fate))

    def _owed(self, seat: Seat) -> int:
        return self._ledgers[seat.index].claimable_wei(seat.owner)

    def _stake_lost(self, terms: Terms) -> int:
        ledger, owner = self._ledgers[self._seats[ATTACKER].index], self._seats[ATTACKER].owner
        return terms.stake_wei * (ledger.state().slashed >> ledger.owner_record(owner).seat & 1)

    def _let_pass(self, seconds: float) -> None:
        self._market.anvil.increase_time(int(seconds) + 1)
