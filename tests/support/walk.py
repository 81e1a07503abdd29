"""A random walk through the life of a market: calls that are right, nearly right, and plainly wrong, from one random generator.

The walk reads the market through a `View` and never changes it; whoever asks for moves plays them, on the market in memory or on several
ledgers side by side. Which calls are refused, and how, is for the ledgers to say.
"""

from __future__ import annotations

from random import Random

from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.market.dispute import accuse_by
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import Scene, address_of
from tests.support.moves import Move, Mover, View
from tests.support.spoilers import Spoiler

FUNCTIONS = (
    *("join", "leave", "depart", "claim", "freeze", "draw", "close"),
    *("anchor", "open", "accuse", "answer", "settle", "timeout", "fund", "withdraw"),
)
GOALS: dict[Stage, dict[str, float]] = {
    Stage.ENROLLING: {"join": 12, "freeze": 2, "fund": 2, "leave": 0.2, "depart": 0.2},
    Stage.FROZEN: {"draw": 8, "join": 2, "fund": 1, "leave": 0.2, "close": 0.1},
    Stage.IDLE: {"anchor": 6, "claim": 2, "join": 4, "fund": 2, "freeze": 2, "leave": 0.5, "depart": 1, "close": 0.1},
    Stage.ANCHORED: {
        "open": 8,
        "anchor": 0.5,
        "claim": 1,
        "join": 3,
        "fund": 2,
        "freeze": 0.5,
        "leave": 0.2,
        "depart": 0.5,
    },
    Stage.OPEN: {
        "settle": 6,
        "timeout": 1,
        "accuse": 6,
        "answer": 0.3,
        "claim": 1,
        "join": 3,
        "fund": 1,
        "leave": 0.5,
        "depart": 1,
        "withdraw": 0.5,
    },
    Stage.CLOSED: {"claim": 4, "leave": 2, "depart": 4, "withdraw": 2},
}
"""How often a helpful walker asks for what."""
SPOILED = {"draw": 0.7, "accuse": 0.5, "answer": 0.6}
"""How often a call is spoiled, of those that are asked for seldom."""


def view_of(scene: Scene) -> View:
    """View of a market in memory."""
    return View(scene.ledger(), lambda: scene.world.number, scene.world.header)


def play(scene: Scene, move: Move) -> OmnilyticsError | None:
    """Play a move in memory; what it was refused with, or None."""
    scene.world.mine(move.mine_blocks)
    scene.world.wait(move.wait_seconds)
    try:
        scene.world.send(address_of(move.account), scene.market.address, move.function, move.arguments, move.value_wei, move.blobs)
    except OmnilyticsError as refusal:
        return refusal
    return None


class Walk:
    """Moves without end.

    Parameters
    ----------
    random : Random
        Decides everything.
    view : View
        The market.
    num_owners : int
        The accounts 0 .. num_owners - 1 are those that may become data owners.
    may_lapse : bool (default: True)
        Whether to let 8192 blocks pass now and then, until a draw has lapsed; real chains take long for it.
    """

    def __init__(self, random: Random, view: View, num_owners: int, *, may_lapse: bool = True) -> None:
        self._random = random
        self._view = view
        self._mover = Mover(random, view, num_owners, may_lapse=may_lapse)
        self._spoiler = Spoiler(self._mover)

    def next_move(self) -> Move:
        """A move: mostly what helps the market along, sometimes any function, and often with something wrong in it."""
        random, state = self._random, self._view.ledger.state()
        goals = self._goals(state)
        function = random.choices(list(goals), list(goals.values()))[0]
        if random.random() < 0.15:
            function = random.choice(FUNCTIONS)
        move: Move = getattr(self._mover, function)(state)
        if random.random() < SPOILED.get(function, 0.3):
            move = self._spoiler.spoil(move, state)
        return move

    def _goals(self, state: MarketState) -> dict[str, float]:
        """How often to ask for what now: a worn-out epoch wants the next, a commitment window that is over another task."""
        terms, goals = self._view.ledger.terms(), dict(GOALS[state.stage])
        if state.stage in (Stage.IDLE, Stage.ANCHORED):
            if state.opened_in_epoch >= terms.rounds_per_epoch or self._whole_groups(state) < terms.least_groups:
                goals |= {"join": 12, "freeze": 3, "anchor": 0.6, "open": 1 if state.stage is Stage.ANCHORED else 0}
            elif state.stage is Stage.ANCHORED and self._view.ledger.now() > state.open_by:
                goals |= {"anchor": 6, "open": 1}
        if state.stage is Stage.OPEN:
            goals |= self._goals_of_open(state)
        if state.disputes_wei:
            goals |= {"withdraw": 1}
        if any(self._mover.leaving(number) for number in range(self._mover.num_owners)):
            goals |= {"claim": 2, "depart": 2}
        most_needed_wei = state.members.bit_count() * terms.reward_wei + terms.bond_wei
        if "fund" in goals and state.escrow_wei < most_needed_wei:
            goals["fund"] = 4
        if "freeze" in goals and state.enrolled.bit_count() < terms.group_size * terms.least_groups:
            goals["freeze"] *= 0.1
        return goals

    def _whole_groups(self, state: MarketState) -> int:
        """Groups of the epoch whose members are all staked."""
        groups = range(state.members.bit_count() // self._view.ledger.terms().group_size)
        return sum(not self._view.ledger.group_seats(group) & ~state.staked for group in groups)

    def _goals_of_open(self, state: MarketState) -> dict[str, float]:
        """How often to ask for what in an open round, by its deadlines."""
        now = self._view.ledger.now()
        if now > state.settle_by:
            return {"timeout": 8, "settle": 1, "accuse": 0.3}
        if state.accused & ~state.answered and now <= state.answer_by:
            return {"answer": 9, "accuse": 2, "settle": 4}
        return {"accuse": 0.3} if now > accuse_by(state.settle_by, self._view.ledger.terms()) else {}


class DisputeWalk(Walk):
    """A walk that stays in open rounds for long, accusing and answering."""

    def _goals(self, state: MarketState) -> dict[str, float]:
        goals = super()._goals(state) | {"close": 0, "leave": 0.1}
        if state.stage is Stage.OPEN:
            pending = state.accused & ~state.answered and self._view.ledger.now() <= state.answer_by
            goals |= {"answer": 20 if pending else 2, "settle": 1.5, "timeout": 0.3, "depart": 0.3}
        return goals
