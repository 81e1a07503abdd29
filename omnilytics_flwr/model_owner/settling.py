"""From a decision to a settled round: sending it for as long as it takes, and waiving what the market falls over."""

from __future__ import annotations

from collections.abc import Callable

from ..clock import Clock
from ..crypto.statement import VerificationBadPoint
from ..errors import LedgerError, NotReopened, SettlementRefused
from ..market.ledger import ModelOwnerLedger
from ..market.refusals import BadSignature, TooLate, Unresolved, WrongRound, WrongStage
from ..market.stage import Stage
from ..market.task import TaskParts
from .decision import Decision
from .live_round import LiveRound, SettleCall
from .patient_ledger import insist, patient
from .replay import Replay
from .round_journal import RoundJournal
from .run_directory import Record

BLOCK_SECONDS = 12


class Settling:
    """Settles rounds, for `RoundKeeper`.

    Parameters
    ----------
    on_trouble : callable
        Called with a sentence whenever something went wrong that the round survives.
    """

    def __init__(
        self, ledger: ModelOwnerLedger, clock: Clock, journal: RoundJournal, replay: Replay, on_trouble: Callable[[str], None]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._steady = patient(ledger, clock)
        self._journal = journal
        self._replay = replay
        self._on_trouble = on_trouble

    def settle(self, live: LiveRound, decision: Decision, following: TaskParts | None, outcome: Record | None) -> None:
        """Settle the round, or end it if it has timed out; raises as `RoundKeeper.settle` does."""
        number = live.task.round
        state = self._replay.catch_up()
        self._check_opened(live)
        if (state.stage, state.round) == (Stage.OPEN, number) and state.roster_hash != decision.roster_hash:
            raise SettlementRefused(number, "it had to be opened again with fewer groups")
        live.call = live.settle_call(
            decision.settlement,
            waived=decision.waived,
            void=decision.void,
            following=bytes(32) if following is None else following.task_hash(number + 1),
        )
        live.fates, live.scale, live.tolerated = decision.fates(), decision.scale, decision.tolerated
        # The outcome first: a round that is noted as settled must not teach nothing, unless the disk fails.
        self._journal.save_outcome(number, outcome)
        self._journal.save(live)
        try:
            self._send(live, live.call, state.settle_by)
        except TooLate:
            self.time_out(live)
        except (WrongStage, WrongRound):
            if not live.is_over_in(self._replay.catch_up()):
                self._withdraw(live)
                self._check_opened(live)
                raise
        except Unresolved as refusal:  # the last block is not past the accusations' deadline yet, or somebody answered in it
            self._withdraw(live)
            self._clock.wait(BLOCK_SECONDS)
            raise SettlementRefused(number, str(refusal)) from refusal
        except LedgerError as refusal:
            self._withdraw(live)
            self._waive_culprits(live, decision, refusal)
            raise SettlementRefused(number, str(refusal)) from refusal

    def _send(self, live: LiveRound, call: SettleCall, settle_by: int) -> None:
        """Settle, and try as long as there is time: an account can be topped up, a chain comes back, and the bond is at stake."""
        number = live.task.round
        receipt = insist(
            lambda: self._ledger.settle(number, call.settlement, live.settle_signatures(call), call.waived, call.following),
            self._clock,
            seconds=settle_by - self._steady.now(),
            until_funded=True,
            on_trouble=lambda error: self._on_trouble(
                f"round {number} cannot be settled yet, which is tried again until it is too late: {error}"
            ),
        )
        live.receipts.append(receipt)

    def time_out(self, live: LiveRound) -> None:
        """End an open round that was not settled in time, as anybody may."""
        self._on_trouble(f"round {live.task.round} was not settled in time; everybody on its roster is paid, and shares the bond")
        try:
            live.receipts.append(self._steady.timeout(live.task.round))
        except (WrongStage, WrongRound):  # somebody else was faster
            if not live.is_over_in(self._steady.state()):
                raise

    @staticmethod
    def _check_opened(live: LiveRound) -> None:
        if not live.opened:
            raise NotReopened(live.task.round)

    def _withdraw(self, live: LiveRound) -> None:
        live.call = None
        self._journal.save(live)

    def _waive_culprits(self, live: LiveRound, decision: Decision, refusal: LedgerError) -> None:
        """Waive the groups that the market fell over; all of them if it does not say which; raise if none is left."""
        self._on_trouble(f"round {live.task.round}: the market refuses the settlement: {refusal}")
        # Void groups come last: waiving one pays it from the escrow instead of from the stakes that it lost.
        left = set(range(len(live.roster))) - {*decision.waived, *decision.void} or set(decision.void)
        if not left:
            raise refusal
        if isinstance(refusal, VerificationBadPoint):
            culprits = {position for position in left if not self._has_good_points(live, position)}
        elif isinstance(refusal, BadSignature):
            culprits = {position for position in left if refusal.seat in {member.seat for member in live.roster_groups()[position]}}
        else:
            culprits = set()
        live.spoilt |= culprits or left
        self._journal.save(live)

    def _has_good_points(self, live: LiveRound, position: int) -> bool:
        there = [live.deliveries[member.owner] for member in live.roster_groups()[position] if member.owner in live.deliveries]
        return all(self._steady.check_points(delivered.shown) for delivered in there)
