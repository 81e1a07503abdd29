"""From trainings to figures: who was paid, how loud an attack was, and what a projected market makes of the same rounds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from .cells import Cell
from .recipe import Recipe
from .shortcut import Decision, groups_of

__all__ = ["LOUD_PERCENT", "calm_figures", "cell_figures", "rule_figures"]

LOUD_PERCENT = 200
"""A round is loud if an attacker's group scores above so much of the median, or is not judged by scores at all."""

FATES = ("absent", "accepted", "learnt", "ineligible", "dropped", "waived")


def cell_figures(recipe: Recipe, market: Cell, fedavg: Cell | None, attackers: Sequence[int]) -> dict[str, Any]:
    """What one attack by one crowd came to, in the market and without."""
    bad, _ = _numbers(recipe, attackers)
    loud = [_loud(decision, bad) for decision in market.decisions]
    learnt = sum(len(bad & set(decision.learnt)) for decision in market.decisions)
    rounds, beside = len(market.decisions), zip(market.decisions, market.projected, strict=True) if market.projected else ()
    return {
        "attackers": list(attackers),
        "market": market.accuracies[-1],
        "market_per_round": market.accuracies,
        "fedavg": fedavg.accuracies[-1] if fedavg else None,
        "fedavg_per_round": fedavg.accuracies if fedavg else None,
        "attackers_groups": len(bad),
        **_pay(recipe, market, attackers),
        "attackers_groups_learnt": learnt / (rounds * len(bad)) if bad else 0.0,
        "rounds_opened": sum(decision.opened for decision in market.decisions),
        "rounds": rounds,
        "loud_rounds": sum(map(bool, loud)),
        "projection_differs": [
            _difference(number, exact, projected, loud=bool(loud[number - 1]))
            for number, (exact, projected) in enumerate(beside, start=1)
            if exact.accepted != projected.accepted
        ],
        "fates": [_fates(decision) for decision in market.decisions],
    }


def rule_figures(recipe: Recipe, market: Cell, attackers: Sequence[int]) -> dict[str, Any]:
    """What a training under one rule came to, in short."""
    return {"market": market.accuracies[-1], **_pay(recipe, market, attackers)}


def calm_figures(recipe: Recipe, market: Cell) -> dict[str, Any]:
    """What only a training without attackers shows."""
    scores = [score for decision in market.decisions for score in decision.relative_scores().values()]
    groups = range(recipe.data.owners // recipe.market.group_size)
    return {
        "rounds_all_paid": sum(not _unpaid(decision) for decision in market.decisions),
        "least_paid_group": min(fmean(group not in _unpaid(decision) for decision in market.decisions) for group in groups),
        "highest_score_percent": max(scores),
    }


def _pay(recipe: Recipe, market: Cell, attackers: Sequence[int]) -> dict[str, float]:
    """Shares of rounds in which attackers' groups, the other groups and the honest data owners were paid."""
    bad, good = _numbers(recipe, attackers)
    groups, decisions = groups_of(recipe.data.owners, recipe.market.group_size), market.decisions

    def paid_share(numbers: set[int]) -> float:
        paid = sum(set(groups[number]) <= decision.paid for number in numbers for decision in decisions)
        return paid / (len(decisions) * len(numbers)) if numbers else 0.0

    honest = [place for place in range(recipe.data.owners) if place not in attackers]
    return {
        "attackers_groups_paid": paid_share(bad),
        "honest_groups_paid": paid_share(good),
        "honest_paid": fmean(sum(place in d.paid for d in decisions) / len(decisions) for place in honest),
    }


def _numbers(recipe: Recipe, attackers: Sequence[int]) -> tuple[set[int], set[int]]:
    """Groups with an attacker, and the others."""
    groups = groups_of(recipe.data.owners, recipe.market.group_size)
    bad = {number for number, group in enumerate(groups) if set(group) & set(attackers)}
    return bad, set(range(len(groups))) - bad


def _loud(decision: Decision, bad: set[int]) -> set[int]:
    """Groups of attackers that lie far out."""
    scored = {number for number, score in decision.relative_scores().items() if score > LOUD_PERCENT}
    return bad & (scored | {*decision.ineligible, *decision.waived})


def _unpaid(decision: Decision) -> set[int]:
    return {*decision.absent, *decision.ineligible, *decision.dropped}


def _difference(number: int, exact: Decision, projected: Decision, *, loud: bool) -> dict[str, Any]:
    """A round in which projections select other groups: which, and their scores in percent of the median in both markets."""
    others = sorted({*exact.accepted} ^ {*projected.accepted})
    scores = [decision.relative_scores() for decision in (exact, projected)]
    shown = "; ".join(
        f"group {group}: "
        + ", ".join(f"{name} {_percent(score.get(group))}" for name, score in zip(("exact", "projected"), scores, strict=True))
        for group in others
    )
    return {"round": number, "loud": loud, "groups": " ".join(map(str, others)), "scores": shown}


def _percent(score: float | None) -> str:
    return "not judged" if score is None else f"{min(score, 1e6):.1f} %"


def _fates(decision: Decision) -> dict[str, Any]:
    """Groups by fate, as numbers in a row: a list takes a line for each of them in a record."""
    return {"opened": decision.opened} | {fate: " ".join(map(str, getattr(decision, fate))) for fate in FATES}
