"""From a task to an open round: anchoring it, and opening it with the groups that are to be there."""

from __future__ import annotations

from collections.abc import Callable

from ..clock import Clock
from ..errors import LedgerError, Refused, TooFewGroups
from ..market.ledger import ModelOwnerLedger
from ..market.market_view import MarketState, Member
from ..market.refusals import NotStaked, WrongRound, WrongStage
from ..market.roster import bits_of
from ..market.stage import Stage
from ..market.task import TaskId, TaskParts
from ..market.terms import Address
from .live_round import LiveRound
from .patient_ledger import patient
from .replay import Replay
from .round_journal import RoundJournal

LEAST_COMMIT_SHARE = 2
"""One part in this many of a commit window is left for commitments at least: an anchored task with less is anchored again."""


def check_not_open(state: MarketState, market: Address) -> None:
    """Check that no round is open, for a process that has not opened it has not got its vectors; raises `Refused`."""
    if state.stage is Stage.OPEN:
        raise Refused(
            f"round {state.round} of market {market} was opened by another process, which alone can settle it, until {state.settle_by} (Unix "
            "seconds). Start that one again, with its run_dir; without one the round is lost: after that time `omnilytics round timeout` ends "
            "it, which pays all its members and shares the bond out among them. Give the strategy a run_dir, and this cannot happen"
        )


class Opening:
    """Anchors tasks and opens rounds, for `RoundKeeper`.

    Parameters
    ----------
    on_stage : callable
        Called with round and name of each stage as it begins.
    """

    def __init__(
        self, ledger: ModelOwnerLedger, clock: Clock, journal: RoundJournal, replay: Replay, on_stage: Callable[[int, str], None]
    ) -> None:
        self._terms = ledger.terms()
        self._steady = patient(ledger, clock)
        self._journal = journal
        self._replay = replay
        self._on_stage = on_stage

    def task_in(self, state: MarketState, parts: TaskParts) -> TaskId | None:
        """The anchored task if it is of these parts, else None."""
        task = self._task_of(parts, state, state.round)
        return task if state.stage is Stage.ANCHORED and task.task_hash == state.task_hash else None

    def anchor(self, parts: TaskParts, state: MarketState) -> LiveRound:
        """The round of these parts: that of the anchored task, if it is of them and there is time to train, or else a new one."""
        return self._take_up(parts, state) or self._begin(parts, state)

    def _task_of(self, parts: TaskParts, state: MarketState, number: int) -> TaskId:
        return TaskId(self._steady.chain_id, self._steady.address, state.epoch, number, parts.task_hash(number))

    def _take_up(self, parts: TaskParts, state: MarketState) -> LiveRound | None:
        """The round of the anchored task, if it is of these parts and there is time to train for it."""
        task = self.task_in(state, parts)
        if task is None or state.open_by < self._steady.now() + self._terms.commit_seconds // LEAST_COMMIT_SHARE:
            return None
        live = self._journal.rounds.get(task.round)
        if live is None or live.task != task:
            live = LiveRound(task, state.open_by, self._groups(state))
            self._journal.begin(live)
        return live

    def _begin(self, parts: TaskParts, state: MarketState) -> LiveRound:
        number = state.round + 1
        self._on_stage(number, "anchor")
        live = LiveRound(self._task_of(parts, state, number), 0, self._groups(state))
        self._journal.begin(live)
        try:
            live.receipts.append(self._steady.anchor(live.task.task_hash))
        except LedgerError:
            self._journal.drop(number)
            raise
        self._replay.note_anchored(live, self._steady.state())
        return live

    def _groups(self, state: MarketState) -> tuple[tuple[Member, ...], ...]:
        by_seat = {member.seat: member for member in self._steady.members()}
        count = state.members.bit_count() // self._terms.group_size
        return tuple(tuple(by_seat[seat] for seat in bits_of(self._steady.group_seats(number))) for number in range(count))

    def open(self, live: LiveRound) -> None:
        """Open the round with every whole group that committed, as `RoundKeeper.open` says."""
        without: frozenset[int] = frozenset()
        while True:
            roster, live.opened = self._choose(live, without), True
            self._journal.set_roster(live, roster)
            try:
                live.receipts.append(self._steady.open(live.task.round, live.roster_bitmap(), live.roster_hash()))
                self._journal.save(live)
                self._journal.note_uncommitted(live.task.epoch, live.uncommitted())
                return
            except NotStaked as gone:  # somebody took its stake back, or lost it, since it signed: go on without its group
                self._note_opened(live, False)
                without |= live.groups_at(gone.seats)
            except (WrongStage, WrongRound):
                self._look_again(live)
                if live.opened:
                    return
                raise
            except LedgerError:
                self._note_opened(live, False)
                raise

    def _choose(self, live: LiveRound, without: frozenset[int]) -> tuple[int, ...]:
        """Whole groups; if there are any, those alone that have always delivered in this epoch."""
        whole = tuple(number for number in live.signed_groups() if number not in without)
        if not whole:
            raise TooFewGroups(len(live.commitments), sum(map(len, live.groups)))
        unreliable = live.groups_of(self._journal.absent(live.task.epoch).undelivered)
        return tuple(number for number in whole if number not in unreliable) or whole

    def _look_again(self, live: LiveRound) -> None:
        """The market is not where it was: the round may be open by now, or anchored anew, or never have been anchored."""
        self._note_opened(live, live.is_open_in(self._replay.catch_up()))
        if not live.opened:
            self._replay.check_signatures(live)

    def _note_opened(self, live: LiveRound, opened: bool) -> None:
        live.opened = opened
        self._journal.save(live)
