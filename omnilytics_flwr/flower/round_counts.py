"""What a run has come to so far, for whoever watches the server's process."""

from __future__ import annotations

from collections import Counter

from ..model_owner.round_report import RoundReport
from ..telemetry import Report


class RoundCounts:
    """Counts the rounds of this process."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(
            rounds_settled_total=0,
            rounds_timed_out_total=0,
            rounds_not_opened_total=0,
            data_owners_paid_total=0,
            groups_learnt_from_total=0,
            groups_unpaid_total=0,
            accusations_total=0,
            gas_used_total=0,
        )
        self._round = self._epoch = 0

    def note(self, report: RoundReport) -> None:
        """Count a finished round."""
        self._round, self._epoch = report.round, report.epoch
        end = "settled" if report.settled else "timed_out" if report.timed_out else "not_opened"
        self._counts[f"rounds_{end}_total"] += 1
        self._counts["data_owners_paid_total"] += len(report.paid)
        self._counts["groups_learnt_from_total"] += len(report.learnt)
        self._counts["groups_unpaid_total"] += len(report.ineligible) + len(report.dropped)
        self._counts["accusations_total"] += len(report.accused)
        self._counts["gas_used_total"] += sum(receipt.gas_used for receipt in report.receipts)

    def report(self) -> Report:
        """The counts, and the last finished round."""
        return {"ready": True, "epoch": self._epoch, "round": self._round, **self._counts}
