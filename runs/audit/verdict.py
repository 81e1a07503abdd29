"""What an audit of a market comes to, for the record of the run that the market lived in."""

from __future__ import annotations

import time
from typing import Any

from omnilytics_flwr import EthereumLedger
from omnilytics_flwr.audit.auditor import Auditor
from omnilytics_flwr.chain.history_reader import gate_of, read_history, verification_of


def audited(ledger: EthereumLedger) -> dict[str, Any]:
    """What an audit of all that has happened comes to, and how long its two parts took."""
    began = time.perf_counter()
    history = read_history(ledger)
    read = time.perf_counter()
    report = Auditor(history, verification_of(ledger), gate_of(ledger)).run()
    return {
        "rounds": len(report.rounds),
        "transactions": report.transactions,
        "signatures": report.signatures,
        "read_seconds": read - began,
        "recompute_seconds": time.perf_counter() - read,
        "finding": None if report.finding is None else str(report.finding),
        "unseen": list(report.unseen),
    }


def is_confirmed(verdict: dict[str, Any]) -> bool:
    """Whether everything could be seen, and follows from what was sent."""
    return verdict["finding"] is None and not verdict["unseen"]


def verdict_text(verdict: dict[str, Any]) -> str:
    """The verdict in words, with the time that a round of it took."""
    if not is_confirmed(verdict):
        return verdict["finding"] or f"not seen: {', '.join(verdict['unseen'])}"
    seconds = (verdict["read_seconds"] + verdict["recompute_seconds"]) / max(verdict["rounds"], 1)
    return f"confirmed, {seconds:.2f} s a round"
