"""How an owner agent is: what it has seen of the chain, its seat, accusations that are open, room on its disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import ChainError
from ..market.ledger import DataOwnerLedger
from ..market.market_view import MarketState
from ..telemetry import Report
from .second_node import is_accused


class AgentHealth:
    """Remembers the agent's looks at the chain.

    Parameters
    ----------
    ledger : DataOwnerLedger
        The agent's own; asked at each look for the block and the seat.
    folder : Path
        The owner home.
    fresh_seconds : float
        Of the policy: how old the last look may be.
    now : callable, optional
        Seconds of a clock that never goes back.
    """

    def __init__(self, ledger: DataOwnerLedger, folder: Path, fresh_seconds: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._folder = folder
        self._fresh_seconds = fresh_seconds
        self._now = now
        self._seen_at: float | None = None
        self._seen: dict[str, bool | int | float | str | None] = {}

    def note(self, state: MarketState) -> None:
        """Take in what a look at the chain has shown."""
        self._seen_at = self._now()
        try:
            block, record = self._ledger.block_number, self._ledger.owner_record(self._ledger.account)
        except ChainError:  # the look itself succeeded; the next one may tell these as well
            return
        open_accusations = state.accused & ~state.answered
        self._seen = {
            "block": block,
            "stage": state.stage.name.lower(),
            "epoch": state.epoch,
            "round": state.round,
            "joined": record.registered,
            "seat": record.seat if record.registered else None,
            "open_accusations": open_accusations.bit_count(),
            "accused": record.registered and is_accused(state, record.seat),
        }

    def report(self) -> Report:
        """How the agent is now; it is ready if it has seen the chain lately."""
        age = None if self._seen_at is None else self._now() - self._seen_at
        return {
            "ready": age is not None and age <= self._fresh_seconds,
            "process": os.getpid(),
            "chain_id": self._ledger.chain_id,
            "market": self._ledger.address,
            "account": self._ledger.account,
            "seen_seconds": None if age is None else round(age, 1),
            **self._seen,
            "free_disk_bytes": shutil.disk_usage(self._folder).free,
        }
