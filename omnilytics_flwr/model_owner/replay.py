"""Reorganisations: takes steps of the last rounds again if the chain has forgotten them or never got them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import CommitmentsExpired, LedgerError
from ..market.ledger import ModelOwnerLedger
from ..market.market_view import MarketState
from ..market.refusals import NotStaked, WrongRound, WrongStage
from ..market.stage import Event, Stage
from .live_round import LiveRound
from .round_journal import KEPT_ROUNDS, RoundJournal

MOST_REPLAYS = 4 * KEPT_ROUNDS
"""Steps taken again in one go: every round that is kept has three, and the market may move in between."""


def due(rounds: Mapping[int, LiveRound], state: MarketState) -> tuple[Event, LiveRound] | None:
    """The noted step that comes next where the market stands, or None if it is where it should be."""
    here, following = rounds.get(state.round), rounds.get(state.round + 1)
    if here is not None and here.task.epoch == state.epoch:
        if here.call is not None and here.is_open_in(state):
            return Event.SETTLE, here
        if state.stage is Stage.ANCHORED and here.opened and here.task.task_hash == state.task_hash:
            return Event.OPEN, here
    if following is not None and following.task.epoch == state.epoch and state.stage in (Stage.IDLE, Stage.ANCHORED):
        return Event.ANCHOR, following
    return None


class Replay:
    """Takes again what the chain has forgotten of a journal; the ledger is a patient one."""

    def __init__(self, ledger: ModelOwnerLedger, journal: RoundJournal, on_trouble: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._journal = journal
        self._on_trouble = on_trouble

    def catch_up(self) -> MarketState:
        """Take every noted step again that the chain does not show; the market's state then.

        Raises
        ------
        CommitmentsExpired
            A round was anchored anew at another time: its data owners must sign again before it can be opened.
        """
        for _ in range(MOST_REPLAYS):
            state = self._ledger.state()
            step = due(self._journal.rounds, state)
            if step is None:
                if state.round in self._journal.rounds:
                    self.note_anchored(self._journal.rounds[state.round], state)
                return state
            event, live = step
            try:
                self._take(event, live, state)
            except (WrongStage, WrongRound):
                continue  # the market has moved since its state was read
            except LedgerError as refusal:
                self._give_up(event, live, str(refusal))
        return self._ledger.state()

    def note_anchored(self, live: LiveRound, state: MarketState) -> None:
        """Take over the deadline with which a round is anchored now; with another one its signatures are void."""
        anchored = (state.stage, state.round, state.task_hash) == (Stage.ANCHORED, live.task.round, live.task.task_hash)
        if anchored and live.open_by != state.open_by:
            live.expire(state.open_by)
            self._journal.save(live)

    def check_signatures(self, live: LiveRound) -> None:
        """Raise `CommitmentsExpired`, once for each deadline, if data owners that committed must sign again."""
        # Once: who does not sign again is left out, and the round goes on without its group.
        if live.asked_for != live.open_by and not all(signed.signature for signed in live.commitments.values()):
            live.asked_for = live.open_by
            raise CommitmentsExpired(live.task.round, live.open_by)

    def _take(self, event: Event, live: LiveRound, state: MarketState) -> None:
        if event is Event.ANCHOR:
            live.receipts.append(self._ledger.anchor(live.task.task_hash))
            self.note_anchored(live, self._ledger.state())
        elif event is Event.OPEN:
            self._open(live, state)
        elif live.call is not None:
            call = live.call
            signatures = live.settle_signatures(call)
            live.receipts.append(self._ledger.settle(live.task.round, call.settlement, signatures, call.waived, call.following))

    def _open(self, live: LiveRound, state: MarketState) -> None:
        self.note_anchored(live, state)
        self.check_signatures(live)
        roster, reason = tuple(sorted(set(live.roster).intersection(live.signed_groups()))), "not all of its data owners have signed again"
        while roster == live.roster or (roster and live.call is None):
            if roster != live.roster:
                self._journal.set_roster(live, roster)
            try:
                live.receipts.append(self._ledger.open(live.task.round, live.roster_bitmap(), live.roster_hash()))
                return
            except NotStaked as gone:  # somebody took its stake back, or lost it, in front of us
                roster, reason = tuple(sorted(set(roster) - live.groups_at(gone.seats))), str(gone)
        # A settlement is of one roster: once it is noted, the round opens with all of it or not at all.
        self._give_up(Event.OPEN, live, reason)

    def _give_up(self, event: Event, live: LiveRound, reason: str) -> None:
        self._on_trouble(f"round {live.task.round}: {event.value} cannot be repeated: {reason}")
        if event is Event.ANCHOR:
            self._journal.drop(live.task.round)
            return
        live.call = None
        live.opened = live.opened and event is not Event.OPEN
        self._journal.save(live)
