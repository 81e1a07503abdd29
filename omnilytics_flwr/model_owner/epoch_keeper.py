"""The model owner's epochs: once one has had its rounds, wait for data owners to enrol, freeze and draw the next."""

from __future__ import annotations

from collections.abc import Callable

from ..clock import Clock
from ..market.ledger import ModelOwnerLedger
from ..market.market_view import MarketState
from ..market.outlook import missing_owners
from ..market.stage import DRAWN, Stage
from .patient_ledger import patient


class EpochKeeper:
    """Sees to it that a market has an epoch with rounds left.

    Parameters
    ----------
    enrol_seconds : float
        How long to wait for those of the last epoch to enrol for the next; 0 leaves epochs to somebody else.
    on_step : callable
        Called with a sentence about each step.
    """

    def __init__(self, ledger: ModelOwnerLedger, clock: Clock, *, enrol_seconds: float, on_step: Callable[[str], None]) -> None:
        self._ledger = patient(ledger, clock)
        self._clock = clock
        self._enrol_seconds = enrol_seconds
        self._on_step = on_step

    def go_on(self, state: MarketState) -> bool:
        """Whether there is an epoch with rounds left, which may have been made now; `state` is the market's present one.

        Raises
        ------
        LedgerError
            The market refuses to freeze or draw.
        ChainError
            The chain could not be reached for too long.
        """
        if self._has_rounds(state):
            return True
        if not self._enrol_seconds or state.stage in (Stage.OPEN, Stage.CLOSED):
            return False
        if state.stage is not Stage.FROZEN:
            if not self._are_enrolled():
                return False
            self._ledger.freeze()
            state = self._ledger.state()
            self._on_step(
                f"epoch {state.epoch} is frozen with {state.members.bit_count()} data owners; drawing after block {state.draw_block}"
            )
        self._ledger.draw()
        self._on_step(f"the groups of epoch {state.epoch} are drawn")
        return True

    def _has_rounds(self, state: MarketState) -> bool:
        return state.stage in DRAWN and state.opened_in_epoch < self._ledger.terms().rounds_per_epoch

    def _are_enrolled(self) -> bool:
        """Wait until as many data owners have enrolled as the last epoch had, or the time is over; whether they make whole groups."""
        terms, start, told = self._ledger.terms(), self._clock.now(), -1
        while True:
            state = self._ledger.state()
            enrolled = state.enrolled.bit_count()
            missing = missing_owners(enrolled, terms)
            if not missing and enrolled >= state.members.bit_count():
                return True
            left = start + self._enrol_seconds - self._clock.now()
            if left <= 0:
                self._on_step(
                    f"{enrolled} data owners have enrolled for epoch {state.epoch + 1}" + (f", {missing} too few" if missing else "")
                )
                return not missing
            if enrolled != told:
                told = enrolled
                self._on_step(f"{enrolled} data owners have enrolled for epoch {state.epoch + 1}; waiting for others, {left:.0f} s at most")
            self._clock.pause()
