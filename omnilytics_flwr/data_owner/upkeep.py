"""What a data owner does in a market when it has changed, and no deadline presses: claim, withdraw, enrol for the next epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..errors import Refused
from ..market.ledger import DataOwnerLedger
from ..market.market_view import MarketState
from ..market.refusals import NoCredit
from ..market.stage import Stage
from .policy import Policy

_log = logging.getLogger(__name__)


class Upkeep:
    """Sees to one data owner's money and enrolment; raises what the market or the chain refuses.

    Parameters
    ----------
    gas_price_wei, enrol_again
        As for `Watcher`.

    Attributes
    ----------
    may_have_credit : bool
        Whether a dispute may have freed ether since the last withdrawal.
    """

    def __init__(
        self, ledger: DataOwnerLedger, policy: Policy, *, gas_price_wei: Callable[[], int], enrol_again: Callable[[], None] | None
    ) -> None:
        self._ledger = ledger
        self._policy = policy
        self._gas_price_wei = gas_price_wei
        self._enrol_again = enrol_again
        self.may_have_credit = True
        self._last_epoch = 0

    def claim(self, state: MarketState) -> None:
        """Claim what finished rounds owe, once it is worth the fee."""
        if state.stage is Stage.OPEN and self._ledger.terms().answer_seconds:
            return  # a node may refuse an answer's blobs while a claim is in its pool
        finished = state.round - 1 if state.stage in (Stage.ANCHORED, Stage.OPEN) else state.round
        owed_wei = self._ledger.claimable_wei(self._ledger.account) if finished > 0 else 0
        if owed_wei and owed_wei >= self._policy.claim_after(self._ledger.terms(), gas_price_wei=self._gas_price_wei()):
            _log.info("claim through round %d", finished)
            self._ledger.claim(self._ledger.account, finished)

    def withdraw(self, state: MarketState, seat: int) -> None:
        """Take back what disputes freed, once the round with the accusation is over."""
        if state.stage is Stage.OPEN:
            self.may_have_credit |= bool(state.accused >> seat & 1)
            return
        if self.may_have_credit:
            try:
                self._ledger.withdraw(self._ledger.account)
                _log.info("withdrew what disputes freed")
            except NoCredit:
                pass
            self.may_have_credit = False

    def enrol(self, state: MarketState, seat: int) -> None:
        """Go on with the next epoch, unless the policy refuses that or the data owner leaves; a lost stake is not paid again."""
        is_over = state.stage in (Stage.IDLE, Stage.ANCHORED) and state.opened_in_epoch >= self._ledger.terms().rounds_per_epoch
        goes_on = state.members & ~state.enrolled & ~state.slashed
        if self._enrol_again is None or not is_over or not goes_on >> seat & 1 or state.epoch == self._last_epoch:
            return
        if self._ledger.owner_record(self._ledger.account).leave_at:
            return
        try:
            self._enrol_again()
            _log.info("enrolled for the epoch after epoch %d", state.epoch)
        except Refused as error:
            self._last_epoch = state.epoch
            _log.warning("epoch %d has had its rounds, and this data owner does not enrol for the next by itself: %s", state.epoch, error)
