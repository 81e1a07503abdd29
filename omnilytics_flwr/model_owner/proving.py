"""Proving a round: from the deliveries, by way of disputes, to what the market will be told."""

from __future__ import annotations

from ..market.market_view import MarketState
from ..market.statement import settlement_context
from ..market.terms import Address
from .decision import decide
from .disputes import Disputes
from .live_round import LiveRound, Proven
from .opening import Opening
from .receiving import Receiving
from .surroundings import Surroundings


class Proving:
    """Proves rounds.

    Parameters
    ----------
    around : Surroundings
    opening : Opening
    receiving : Receiving
    disputes : Disputes
    """

    def __init__(self, around: Surroundings, opening: Opening, receiving: Receiving, disputes: Disputes) -> None:
        self._around = around
        self._opening = opening
        self._receiving = receiving
        self._disputes = disputes

    def prove(self, live: LiveRound) -> Proven:
        """Decide and prove; see `RoundKeeper.prove`."""
        with live.timed("server_crypto"):
            self._receiving.drop_mismatches(live)
        self._opening.note_missing(live)
        state = self._disputes.hold(live)
        self._around.on_stage(live.task.round, "prove")
        with live.timed("server_crypto"):
            verdict = decide(
                self._around.terms,
                _context(live, state),
                live.roster_hash(),
                live.group_sums(),
                void=self._disputes.void_positions(live, state),
                spoilt=live.spoilt,
                on_trouble=self._around.on_trouble,
            )
            mean = verdict.mean(self._around.terms)
        return Proven(verdict, mean, live.roster_hash())


def _context(live: LiveRound, state: MarketState) -> bytes:
    return settlement_context(
        chain_id=live.task.chain_id,
        market=Address(live.task.market),
        epoch_seed=state.epoch_seed,
        epoch=live.task.epoch,
        round_number=live.task.round,
        task_hash=live.task.task_hash,
    )
