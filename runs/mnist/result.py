"""From what happened to ``result.json``: every figure of a run, and the checks that a run must pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from omnilytics_flwr import Address, LocalMarket, Terms, TransactionRecord
from runs.processing_time import Processing

from ..audit.verdict import is_confirmed
from .recipe import Recipe
from .trainings import WORKERS, Training

__all__ = ["Outcome", "broken_promises", "result_of"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a run found out."""

    recipe: Recipe
    terms: Terms
    owners: tuple[Address, ...]
    market: Training
    plain: Training
    attacked: Training
    public_part_alone: float
    paid_wei: tuple[int, ...]
    transactions: tuple[TransactionRecord, ...]
    work_seconds: dict[str, float]
    processing: Processing
    audit: dict[str, Any]


def collect_work(market: LocalMarket) -> dict[str, float]:
    """Seconds that all owner agents spent, by kind of work."""
    totals: dict[str, float] = {}
    for home in market.homes:
        for entry in home.work():
            kind = str(entry["work"])
            totals[kind] = totals.get(kind, 0.0) + float(str(entry["seconds"]))
    return totals


def result_of(outcome: Outcome) -> dict[str, Any]:
    """The content of ``result.json``."""
    market, reports = outcome.market, outcome.market.reports
    places = {owner: index for index, owner in enumerate(outcome.owners)}
    return {
        "accuracy": {
            "before": market.accuracies[0],
            "after": market.accuracies[-1],
            "per_round": market.accuracies,
            "public_part_alone": outcome.public_part_alone,
            "plain_fedavg": outcome.plain.accuracies[-1],
            "plain_fedavg_per_round": outcome.plain.accuracies,
            "plain_fedavg_attacked": outcome.attacked.accuracies[-1],
            "plain_fedavg_attacked_per_round": outcome.attacked.accuracies,
        },
        "owners": len(outcome.owners),
        "groups": len(reports[0].roster) if reports else 0,
        "weights": outcome.terms.weights,
        "polynomials": outcome.terms.polynomials,
        "rounds": len(reports),
        "settled": [r.settled for r in reports],
        "attackers": list(outcome.recipe.attack.attackers),
        "attack": outcome.recipe.attack.kind,
        "roster": [[places[owner] for owner in group] for group in reports[0].roster] if reports else [],
        "accepted_owners": [sorted(places[owner] for position in r.accepted for owner in r.roster[position]) for r in reports],
        "accepted_groups": [list(r.accepted) for r in reports],
        "unpaid_groups": [sorted((*r.dropped, *r.ineligible)) for r in reports],
        "waived_groups": [list(r.waived) for r in reports],
        "distances": [[str(distance) for distance in r.distances] for r in reports],
        "gas_per_round": [{receipt.event: receipt.gas_used for receipt in r.receipts} for r in reports],
        "reward_wei": outcome.terms.reward_wei,
        "paid_wei": list(outcome.paid_wei),
        "gas": _gas(outcome),
        "seconds": _seconds(outcome),
        "chain_processing_ms": outcome.processing.total_ms,
        "chain_processing_how": (
            "each round transaction (anchor, open, settle) executed again by the node with debug_traceTransaction on the state it had found; "
            "least of five repeats, less the round trip of an empty request; sender recovery and sealing of blocks not included"
        ),
        "audit": outcome.audit,
        "transactions": [
            {"event": t.event, "account": t.account, "hash": t.transaction_hash, "block": t.block, "gas": t.gas_used}
            for t in outcome.transactions
        ],
    }


def broken_promises(result: dict[str, Any]) -> list[str]:
    """What this run should have shown and did not, in words; empty if all is well."""
    accuracy, attackers = result["accuracy"], set(result["attackers"])
    reward_wei, accepted = result["reward_wei"], result["accepted_owners"]
    earned = [reward_wei * sum(owner in round_owners for round_owners in accepted) for owner in range(result["owners"])]
    waived = any(result["waived_groups"])
    claims = {
        "the model owner starts at 60 to 66 %": 0.60 <= accuracy["before"] <= 0.66,
        "it ends at 90 % or more": accuracy["after"] >= 0.90,
        "within 1.5 points of plain FedAvg without an attacker": accuracy["after"] >= accuracy["plain_fedavg"] - 0.015,
        "every round is settled": all(result["settled"]) and result["rounds"] == len(accuracy["per_round"]) - 1,
        "no attacker is in an accepted group": not any(attackers & set(owners) for owners in accepted),
        "everybody is paid one reward for each accepted round and nobody anything else": waived or result["paid_wei"] == earned,
        "open and settle take at most 1,500,000 gas a round": result["gas"]["round_mean"] <= 1_500_000,
        "an audit from the chain alone confirms every round": is_confirmed(result["audit"]),
        "data owners pay no gas in a round": result["gas"]["data_owner_per_round"] == 0,
    }
    return [claim for claim, holds in claims.items() if not holds]


def _gas(outcome: Outcome) -> dict[str, float]:
    owners = set(outcome.owners)
    by_event: dict[str, list[int]] = {}
    for transaction in outcome.transactions:
        by_event.setdefault(transaction.event, []).append(transaction.gas_used)
    in_rounds = [t.gas_used for t in outcome.transactions if t.account in owners and t.event not in ("join", "claim")]
    rounds = max(len(outcome.market.reports), 1)

    def mean(event: str) -> float:
        return fmean(by_event.get(event, [0]))

    return {
        "deploy": sum(sum(used) for event, used in by_event.items() if event.startswith("deploy")),
        "create": mean("create"),
        "join_mean": mean("join"),
        "draw": mean("draw"),
        "anchor_first": mean("anchor"),
        "open_mean": mean("open"),
        "settle_mean": mean("settle"),
        "round_mean": mean("open") + mean("settle"),
        "data_owner_per_round": sum(in_rounds) / (rounds * len(owners)),
        "claim_mean": mean("claim"),
    }


def _seconds(outcome: Outcome) -> dict[str, Any]:
    market = outcome.market
    return {
        "total": market.seconds,
        "training": market.client_seconds,
        "client_crypto": sum(outcome.work_seconds.values()),
        "server_crypto": sum(r.seconds.get(work, 0.0) for r in market.reports for work in ("check", "sum", "prove")),
        "chain": sum(r.seconds.get("chain", 0.0) for r in market.reports),
        "plain_fedavg_total": outcome.plain.seconds,
        "plain_fedavg_attacked_total": outcome.attacked.seconds,
        "ratio": market.seconds / outcome.plain.seconds,
        "client_workers": WORKERS,
        "by_stage": _by_stage(market.stages),
        "how": (
            "total and by_stage are wall time of the market's training run; training and client_crypto are added up over all data owners, "
            "of whom client_workers are at work at a time; server_crypto and chain are wall time of the model owner"
        ),
    }


def _by_stage(stages: Sequence[tuple[float, int, str]]) -> dict[str, float]:
    """Wall seconds from the beginning of each stage to that of the next, added up over the rounds."""
    totals: dict[str, float] = {}
    for (begun, _, stage), (ended, _, _) in pairwise(stages):
        name = "refit and evaluate" if stage == "done" else stage
        totals[name] = totals.get(name, 0.0) + ended - begun
    return totals
