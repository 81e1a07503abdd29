"""The last rounds of a market and the steps that were taken in them, so that a chain which forgets some can be brought up to date again.

A step is noted, on disk if there is a run directory, before it is sent. Whatever then happens to this process or to the chain, where
the market stands tells which of the noted steps is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import CommitmentsExpired, LedgerError
from ..market.market_view import MarketState
from ..market.refusals import WrongRound, WrongStage
from ..market.roster import bitmap_of
from ..market.stage import Event, Stage
from ..market.terms import Address
from .live_round import LiveRound
from .round_record import decode_delivery, decode_round, encode_delivery, encode_round
from .run_directory import Record, RunDirectory
from .surroundings import Surroundings

KEPT_ROUNDS = 4
"""Rounds whose steps are kept: as many as a reorganisation may undo."""

MOST_REPLAYS = 4 * KEPT_ROUNDS


def due(rounds: Mapping[int, LiveRound], state: MarketState) -> tuple[Event, LiveRound] | None:
    """The noted step that comes next where the market stands, or None if it is where it should be."""
    here, following = rounds.get(state.round), rounds.get(state.round + 1)
    if here is not None and here.task.epoch == state.epoch:
        if state.stage is Stage.OPEN and here.call is not None and here.roster_hash() == state.roster_hash:
            return Event.SETTLE, here
        if state.stage is Stage.ANCHORED and here.opened and here.task.task_hash == state.task_hash:
            return Event.OPEN, here
    if following is not None and following.task.epoch == state.epoch and state.stage in (Stage.IDLE, Stage.ANCHORED):
        return Event.ANCHOR, following
    return None


def is_over(state: MarketState, round_number: int) -> bool:
    """Whether a round that was opened has been settled or has timed out."""
    return state.round > round_number or (state.round == round_number and state.stage not in (Stage.ANCHORED, Stage.OPEN))


class RoundHistory:
    """The last rounds, in memory and in the run directory.

    Parameters
    ----------
    around : Surroundings
    directory : RunDirectory or None
    """

    def __init__(self, around: Surroundings, directory: RunDirectory | None) -> None:
        self._around = around
        self._ledger = around.steady
        self._directory = directory
        self.rounds: dict[int, LiveRound] = {}

    def load(self) -> None:
        """Take up what the run directory holds, unless rounds are in memory, which know for which of them signatures were asked."""
        if self._directory is None or self.rounds:
            return
        self._directory.claim(chain_id=self._ledger.chain_id, market=self._ledger.address)
        for name in self._directory.names("round-"):
            record = self._directory.read(name)
            if record is not None:
                live = decode_round(record)
                self.rounds[live.task.round] = live
        for live in self.rounds.values():
            for name in self._directory.names(_delivery_name(live.task.round)):
                record = self._directory.read(name)
                if record is not None:
                    owner, delivered = decode_delivery(record, self._around.terms.polynomials)
                    live.deliveries[owner] = delivered

    def begin(self, live: LiveRound) -> None:
        """Note a new round; rounds that it replaces, and rounds long past, are forgotten."""
        number = live.task.round
        for known in [known for known in self.rounds if known >= number or known <= number - KEPT_ROUNDS]:
            self.drop(known)
        self.rounds[number] = live
        self.save(live)

    def anchor(self, live: LiveRound) -> None:
        """Anchor the task of a new round."""
        self.begin(live)
        try:
            live.receipts.append(self._ledger.anchor(live.task.task_hash))
        except LedgerError:
            self.drop(live.task.round)
            raise
        self.note_anchored(live, self._ledger.state())

    def drop(self, number: int) -> None:
        """Forget a round altogether."""
        self.rounds.pop(number, None)
        self.clear(number)
        if self._directory is not None:
            self._directory.delete(_round_name(number))

    def save(self, live: LiveRound) -> None:
        """Write a round down, without its deliveries."""
        if self._directory is not None:
            self._directory.write(_round_name(live.task.round), encode_round(live))

    def save_delivery(self, live: LiveRound, owner: Address) -> None:
        """Write a delivery down."""
        if self._directory is not None:
            self._directory.write(_delivery_name(live.task.round, owner), encode_delivery(owner, live.deliveries[owner]))

    def drop_delivery(self, live: LiveRound, owner: Address) -> None:
        """Forget a delivery."""
        del live.deliveries[owner]
        if self._directory is not None:
            self._directory.delete(_delivery_name(live.task.round, owner))

    def save_outcome(self, number: int, outcome: Record | None) -> None:
        """Write down what comes of settling a round; None if nothing is kept."""
        if self._directory is not None and outcome is not None:
            self._directory.write(_outcome_name(number), outcome)

    def outcome(self, number: int) -> Record | None:
        """What comes of having settled a round."""
        return None if self._directory is None else self._directory.read(_outcome_name(number))

    def clear(self, number: int) -> None:
        """Delete what must not be kept of a round that is over: the vectors, and the outcome, which is booked by now."""
        if number in self.rounds:
            self.rounds[number].deliveries.clear()
        if self._directory is not None:
            self._directory.delete(*self._directory.names(_delivery_name(number)), _outcome_name(number))

    def catch_up(self) -> None:
        """Repeat every noted step that the chain has forgotten, or never got.

        Raises
        ------
        CommitmentsExpired
            A round was anchored anew at another time, so that it cannot be opened before its data owners have signed again.
        """
        for _ in range(MOST_REPLAYS):
            state = self._ledger.state()
            step = due(self.rounds, state)
            if step is None:
                if state.round in self.rounds:
                    self.note_anchored(self.rounds[state.round], state)
                return
            event, live = step
            try:
                self._replay(event, live, state)
            except (WrongStage, WrongRound):
                continue  # the market has moved since its state was read
            except LedgerError as refusal:
                self._give_up(event, live, str(refusal))

    def _replay(self, event: Event, live: LiveRound, state: MarketState) -> None:
        number = live.task.round
        if event is Event.ANCHOR:
            live.receipts.append(self._ledger.anchor(live.task.task_hash))
            self.note_anchored(live, self._ledger.state())
        elif event is Event.OPEN:
            self._reopen(live, state)
        elif live.call is not None:
            call = live.call
            live.receipts.append(self._ledger.settle(number, call.settlement, call.waived, call.following))

    def note_anchored(self, live: LiveRound, state: MarketState) -> None:
        """Take over the deadline with which a round is anchored now; with another one its signatures are void."""
        anchored = (state.stage, state.round, state.task_hash) == (Stage.ANCHORED, live.task.round, live.task.task_hash)
        if anchored and live.open_by != state.open_by:
            live.expire(state.open_by)
            self.save(live)

    def check_signatures(self, live: LiveRound) -> None:
        """Raise `CommitmentsExpired`, once for each deadline, if data owners that committed must sign again."""
        if live.asked_for != live.open_by and not all(signed.signature for signed in live.commitments.values()):
            live.asked_for = live.open_by
            raise CommitmentsExpired(live.task.round, live.open_by)

    def _reopen(self, live: LiveRound, state: MarketState) -> None:
        self.note_anchored(live, state)
        self.check_signatures(live)
        signed = tuple(number for number in live.roster if live.is_signed(number))
        if signed != live.roster:
            if live.call is not None or len(signed) < self._around.terms.least_groups:
                self._give_up(Event.OPEN, live, "not all of its data owners have signed again")
                return
            live.roster = signed
            live.spoilt.clear()
            self.save(live)
        live.receipts.append(self._ledger.open(live.task.round, bitmap_of(live.roster), live.digests(), live.signatures()))

    def _give_up(self, event: Event, live: LiveRound, reason: str) -> None:
        self._around.on_trouble(f"round {live.task.round}: {event.value} cannot be repeated: {reason}")
        if event is Event.ANCHOR:
            self.drop(live.task.round)
            return
        live.call = None
        live.opened = live.opened and event is not Event.OPEN
        self.save(live)


def _round_name(number: int) -> str:
    return f"round-{number:010d}"


def _delivery_name(number: int, owner: str = "") -> str:
    return f"delivery-{number:010d}-{owner.lower()}"


def _outcome_name(number: int) -> str:
    return f"outcome-{number:010d}"
