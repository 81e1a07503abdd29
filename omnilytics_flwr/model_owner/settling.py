"""Settling a round, and what it came to."""

from __future__ import annotations

from dataclasses import replace

from ..crypto.refusals import VerificationBadPoint, VerificationWrongExclusion, VerificationWrongOpening
from ..errors import LedgerError, SettlementRefused
from ..market.ledger import Receipt
from ..market.refusals import TooLate, WrongRound, WrongStage
from ..market.roster import bitmap_of
from ..market.stage import Stage
from ..market.task import TaskParts
from .decision import Verdict
from .live_round import LiveRound, Proven, SettleCall
from .patient_ledger import HOPELESS, insist
from .round_journal import RoundHistory, is_over
from .round_report import RoundReport
from .run_directory import Record
from .surroundings import Surroundings

FATES = ("accepted", "excluded", "ineligible", "dropped", "waived", "void", "distances")
"""What a report takes from a verdict."""

MOST_VOID_REFUSALS = 4
"""How often a settlement with void groups is tried before any group is waived for it."""

BLOCK_SECONDS = 12
"""Time between two blocks."""

_FIRST_EXCLUSION = 2
"""Number of the opening proof of the first exclusion; before it come the fold and the constant term."""


class Settling:
    """Settles rounds.

    Parameters
    ----------
    around : Surroundings
    history : RoundHistory
    """

    def __init__(self, around: Surroundings, history: RoundHistory) -> None:
        self._around = around
        self._history = history

    def settle(self, live: LiveRound, proven: Proven, following: TaskParts | None, outcome: Record | None) -> RoundReport:
        """Settle; `RoundKeeper.settle` says what it raises."""
        number, verdict = live.task.round, proven.verdict
        self._history.catch_up()
        state = self._around.steady.state()
        if (state.stage, state.round) == (Stage.OPEN, number) and state.roster_hash != proven.roster_hash:
            raise SettlementRefused(number, "it had to be opened again with fewer groups")
        waived = bitmap_of(live.roster[position] for position in verdict.waived)
        live.call = SettleCall(verdict.settlement, waived, bytes(32) if following is None else following.task_hash(number + 1))
        live.fates = {name: tuple(getattr(verdict, name)) for name in FATES} | {"scale": (verdict.scale,)}
        self._history.save_outcome(number, outcome)
        self._history.save(live)
        try:
            live.receipts.append(self._send(number, live.call, state.settle_by))
        except TooLate:
            self._time_out(live)
        except (WrongStage, WrongRound):
            self._history.catch_up()
            if not is_over(self._around.steady.state(), number):
                self._withdraw(live)
                raise
        except LedgerError as refusal:
            self._withdraw(live)
            self._blame(live, verdict, refusal)
            raise SettlementRefused(number, str(refusal)) from refusal
        return self.report(live)

    def _send(self, number: int, call: SettleCall, settle_by: int) -> Receipt:
        """Settle, however often it takes while there is time: an account can be topped up, a chain comes back, and the bond is at stake."""
        around = self._around
        return insist(
            lambda: around.ledger.settle(number, call.settlement, call.waived, call.following),
            seconds=settle_by - around.steady.now(),
            wait=around.wait,
            poll_seconds=around.poll_seconds,
            lasting=HOPELESS,
            on_trouble=lambda error: around.on_trouble(
                f"round {number} cannot be settled yet, which is tried again until it is too late: {error}"
            ),
        )

    def time_out(self, live: LiveRound) -> RoundReport:
        """End an open round that was not settled in time, as anybody may."""
        self._time_out(live)
        return self.report(live)

    def report(self, live: LiveRound) -> RoundReport:
        """What a round came to that is over on chain."""
        number = live.task.round
        paid_seats = self._around.steady.paid_seats(number)
        timed_out = self._around.steady.bond_share_wei(number) > 0
        fates = {name: tuple(places) for name, places in live.fates.items() if name != "scale" and not timed_out}
        report = RoundReport(
            live.task.epoch,
            number,
            not timed_out,
            tuple(live.commitments),
            roster=tuple(tuple(member.owner for member in group) for group in live.roster_groups()),
            scale=live.fates.get("scale", (1,))[0],
            accused=tuple(member.owner for member in live.roster_members() if member.owner in live.accused),
            answered=tuple(member.owner for member in live.roster_members() if member.owner in live.answered),
            timed_out=timed_out,
            paid=tuple(member.owner for group in live.groups for member in group if paid_seats >> member.seat & 1),
        )
        return replace(report, **fates)  # type: ignore[arg-type]

    @staticmethod
    def not_opened(live: LiveRound) -> RoundReport:
        """A round that came to nothing."""
        return RoundReport(live.task.epoch, live.task.round, False, tuple(live.commitments))

    def _time_out(self, live: LiveRound) -> None:
        self._around.on_trouble(f"round {live.task.round} was not settled in time; everybody on its roster is paid, and shares the bond")
        try:
            live.receipts.append(self._around.steady.timeout(live.task.round))
        except (WrongStage, WrongRound):  # somebody else was faster
            if not is_over(self._around.steady.state(), live.task.round):
                raise

    def _withdraw(self, live: LiveRound) -> None:
        live.call = None
        self._history.save(live)

    def _blame(self, live: LiveRound, verdict: Verdict, refusal: LedgerError) -> None:
        """Find the groups that the market fell over, and waive them; all of them if it does not say; raise if none is left."""
        self._around.on_trouble(f"round {live.task.round}: the market refuses the settlement: {refusal}")
        live.refusals += 1
        if verdict.void and live.refusals < MOST_VOID_REFUSALS:  # the last block may not be past the deadline of the accusations yet
            self._around.wait(BLOCK_SECONDS)
            return
        left = set(range(len(live.roster))) - set(verdict.waived) - set(verdict.void) or set(verdict.void)
        if not left:
            raise refusal
        live.spoilt |= self._culprits(live, verdict, refusal) & left or left
        self._history.save(live)

    def _culprits(self, live: LiveRound, verdict: Verdict, refusal: LedgerError) -> set[int]:
        match refusal:
            case VerificationWrongExclusion():
                return {refusal.position}
            case VerificationWrongOpening() if refusal.which >= _FIRST_EXCLUSION:
                return {*verdict.excluded[refusal.which - _FIRST_EXCLUSION :][:1]}
            case VerificationBadPoint():
                return {position for position in range(len(live.roster)) if not self._has_good_points(live, position)}
        return set()

    def _has_good_points(self, live: LiveRound, position: int) -> bool:
        there = [live.deliveries[member.owner] for member in live.roster_groups()[position] if member.owner in live.deliveries]
        return all(self._around.steady.check_points(delivered.points) for delivered in there)
