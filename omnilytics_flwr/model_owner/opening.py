"""Beginning a round: the task that is anchored, and the groups with which it is opened."""

from __future__ import annotations

from ..errors import LedgerError, TooFewGroups
from ..market.market_view import MarketState, Member
from ..market.refusals import BadSignature, NotStaked, WrongRound, WrongStage
from ..market.roster import bitmap_of, bits_of
from ..market.stage import Stage
from ..market.task import TaskId, TaskParts
from ..market.terms import Address
from .live_round import LiveRound
from .round_journal import RoundHistory
from .run_directory import Record, RunDirectory
from .surroundings import Surroundings

OPEN_MARGIN_SECONDS = 30
"""How long before it is too late to open the commitments are waited for."""

LEAST_COMMIT_SHARE = 2
"""An anchored task is anchored again if less than one part in so many of its commit window is left."""

UNRELIABLE = "unreliable"


class Opening:
    """Anchors and opens rounds, and remembers who did not deliver in which epoch.

    Parameters
    ----------
    around : Surroundings
    history : RoundHistory
    directory : RunDirectory or None
    """

    def __init__(self, around: Surroundings, history: RoundHistory, directory: RunDirectory | None) -> None:
        self._around = around
        self._history = history
        self._directory = directory
        self._epoch = 0
        self._unreliable: frozenset[Address] = frozenset()

    def load(self) -> None:
        """Take up what the run directory holds."""
        record = None if self._directory is None else self._directory.read(UNRELIABLE)
        if record is not None:
            self._epoch, self._unreliable = record.facts["epoch"], frozenset(map(Address, record.facts["owners"]))

    def anchored(self, parts: TaskParts, state: MarketState) -> TaskId | None:
        """The live task if it is of these parts, else None."""
        if state.stage is not Stage.ANCHORED or parts.task_hash(state.round) != state.task_hash:
            return None
        return self._task_id(state, state.round, state.task_hash)

    def anchor(self, parts: TaskParts) -> LiveRound:
        """The round of the anchored task, if it is of these parts and there is time to open it; otherwise a new one, anchored now."""
        state = self._around.steady.state()
        task = self.anchored(parts, state)
        if task is None or state.open_by < self._around.steady.now() + self._around.terms.commit_seconds // LEAST_COMMIT_SHARE:
            number = state.round + 1
            self._around.on_stage(number, "anchor")
            live = LiveRound(self._task_id(state, number, parts.task_hash(number)), 0, self._groups(state))
            self._history.anchor(live)
            return live
        known = self._history.rounds.get(task.round)
        if known is not None and known.task == task:
            self._history.note_anchored(known, state)
            return known
        live = LiveRound(task, state.open_by, self._groups(state))
        self._history.begin(live)
        return live

    def note_missing(self, live: LiveRound) -> None:
        """Remember for the rest of the epoch who did not deliver when it was asked to."""
        known = self._unreliable if self._epoch == live.task.epoch else frozenset()
        found = known | {member.owner for member in live.missing()}
        if found == known:
            return
        self._epoch, self._unreliable = live.task.epoch, found
        if self._directory is not None:
            self._directory.write(UNRELIABLE, Record({"epoch": self._epoch, "owners": sorted(found)}))

    def open(self, live: LiveRound) -> None:
        """Open with whole groups; `RoundKeeper.open` says what it raises."""
        without: set[int] = set()
        while True:
            chosen = self._choose(live, without)
            live.roster, live.opened = chosen, True
            live.spoilt.clear()
            self._history.save(live)
            try:
                live.receipts.append(self._around.steady.open(live.task.round, bitmap_of(chosen), live.digests(), live.signatures()))
                self._history.save(live)
                return
            except NotStaked as gone:  # somebody took its stake back, or lost it, since it signed: go on without its group
                self._undo(live)
                without |= {number for number in chosen if any(gone.seats >> member.seat & 1 for member in live.groups[number])}
            except (WrongStage, WrongRound, BadSignature):
                self._look_again(live)
                if live.opened:
                    return
                raise
            except LedgerError:
                self._undo(live)
                raise

    def _choose(self, live: LiveRound, without: set[int]) -> tuple[int, ...]:
        """Whole groups, if possible such as have always delivered in this epoch."""
        whole = [number for number in range(len(live.groups)) if number not in without and live.is_signed(number)]
        unreliable = self._unreliable if self._epoch == live.task.epoch else frozenset()
        reliable = [number for number in whole if not unreliable & {member.owner for member in live.groups[number]}]
        least = self._around.terms.least_groups
        if len(whole) < least:
            raise TooFewGroups(len(whole), least)
        return tuple(reliable if len(reliable) >= least else whole)

    def _look_again(self, live: LiveRound) -> None:
        """The market is not where it was: the round may be open by now, or anchored anew, or never have been anchored."""
        state = self._around.steady.state()
        if live.is_open_in(state):
            return
        self._history.catch_up()
        state = self._around.steady.state()
        live.opened = live.is_open_in(state)
        self._history.save(live)
        if not live.opened:
            self._history.note_anchored(live, state)
            self._history.check_signatures(live)

    def _undo(self, live: LiveRound) -> None:
        live.opened = False
        self._history.save(live)

    def _task_id(self, state: MarketState, number: int, task_hash: bytes) -> TaskId:
        return TaskId(self._around.ledger.chain_id, self._around.ledger.address, state.epoch, number, task_hash)

    def _groups(self, state: MarketState) -> tuple[tuple[Member, ...], ...]:
        ledger = self._around.steady
        by_seat = {member.seat: member for member in ledger.members()}
        count = state.members.bit_count() // self._around.terms.group_size
        return tuple(tuple(by_seat[seat] for seat in bits_of(ledger.group_seats(number))) for number in range(count))
