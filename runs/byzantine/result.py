"""From what happened to ``result.json``: every figure of a run, and the checks that a run must pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from .cells import Cell
from .confirm import Confirmation
from .protocol import Outcome
from .recipe import Recipe
from .shortcut import Decision, groups_of

__all__ = ["broken_promises", "cell_figures", "result_of"]


def cell_figures(recipe: Recipe, market: Cell, fedavg: Cell | None, attackers: Sequence[int]) -> dict[str, Any]:
    """What one attack by one crowd came to, in the market and without."""
    groups = groups_of(recipe.data.owners, recipe.market.group_size)
    bad = [group for group in groups if set(group) & set(attackers)]
    good = [group for group in groups if not set(group) & set(attackers)]
    rounds = len(market.decisions)

    def paid_share(some: Sequence[Sequence[int]]) -> float:
        """Share of group rounds that were paid."""
        paid = sum(set(group) <= decision.paid for group in some for decision in market.decisions)
        return paid / (rounds * len(some)) if some else 0.0

    honest = [place for place in range(recipe.data.owners) if place not in attackers]
    return {
        "attackers": list(attackers),
        "market": market.accuracies[-1],
        "market_per_round": market.accuracies,
        "fedavg": fedavg.accuracies[-1] if fedavg else None,
        "fedavg_per_round": fedavg.accuracies if fedavg else None,
        "attackers_groups": len(bad),
        "attackers_groups_paid": paid_share(bad),
        "attackers_groups_learnt": _learnt_share(market, groups, bad),
        "honest_groups_paid": paid_share(good),
        "honest_paid": fmean(sum(place in d.paid for d in market.decisions) / rounds for place in honest),
        "rounds_opened": sum(decision.opened for decision in market.decisions),
        "rounds": rounds,
        "fates": [_fates(decision) for decision in market.decisions],
    }


def result_of(
    recipe: Recipe,
    calm: dict[str, Any],
    cells: Mapping[str, Mapping[str, dict[str, Any]]],
    confirmations: Mapping[str, Confirmation],
    outcomes: Sequence[Outcome],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The content of ``result.json``.

    Parameters
    ----------
    recipe : Recipe
    calm : dict
        Figures without any attacker.
    cells : mapping of str to mapping of str to dict
        Figures by attack and crowd.
    confirmations : mapping of str to Confirmation
        By attack.
    outcomes : sequence of Outcome
        Of the misdeeds.
    seconds : mapping of str to float
        Wall time by part of the run.
    """
    return {
        "owners": recipe.data.owners,
        "groups": recipe.data.owners // recipe.market.group_size,
        "group_size": recipe.market.group_size,
        "faulty_groups": recipe.market.faulty_groups,
        "rounds": recipe.training.rounds,
        "reward_wei": recipe.market.reward_wei,
        "stake_wei": (recipe.market.group_size + 1) * recipe.market.reward_wei,
        "crowds": {name: list(places) for name, places in recipe.crowds.by_name().items()},
        "no_attacker": calm,
        "attacks": cells,
        "how": (
            "market: accuracy after the last round of a training whose rounds are decided by the functions that keeper and contract use, on "
            "the same integers, without masks, proofs and chain; fedavg: the same trainings, averaged by number of digits; little-is-enough, "
            "inner-product and directed-deviation know every honest update, which no attacker of a market does"
        ),
        "confirmed_on_chain": {name: dataclasses.asdict(one) for name, one in confirmations.items()},
        "confirmed_how": (
            f"the last round of the crowd {recipe.confirm.crowd!r} once more on a local chain, with owner agents, masks, commitments, "
            "signatures, proofs and contracts: distances, groups and payments are compared"
        ),
        "misdeeds": [dataclasses.asdict(outcome) for outcome in outcomes],
        "misdeeds_owners": recipe.misdeeds.owners,
        "misdeeds_faulty_groups": recipe.misdeeds.faulty_groups,
        "seconds": dict(seconds),
    }


def broken_promises(result: dict[str, Any]) -> list[str]:
    """What this run should have shown and did not, in words; empty if all is well.

    How an attack fares is a finding, not a promise; that the market is what it says is one.
    """
    faulty, cells = result["faulty_groups"], [cell for crowds in result["attacks"].values() for cell in crowds.values()]
    fates = [fate for cell in (*cells, result["no_attacker"]) for fate in cell["fates"] if fate["opened"]]
    misdeeds, others = result["misdeeds"], result["misdeeds_owners"] // result["group_size"] - 1
    least_paid = 1 - result["misdeeds_faulty_groups"] / others - 1e-9
    claims = {
        "every attack comes to the same on a chain": all(
            one["same_distances"] and one["same_groups"] and one["same_pay"] and one["same_as_trained"]
            for one in result["confirmed_on_chain"].values()
        ),
        "as many attacks are confirmed as there are": set(result["confirmed_on_chain"]) == set(result["attacks"]),
        "never more than f groups of a round go unpaid": all(
            sum(len(fate[unpaid].split()) for unpaid in ("ineligible", "dropped")) <= faulty for fate in fates
        ),
        "no sum out of range is ever learned from": all(
            cell["attackers_groups_learnt"] == 0
            for name in ("out-of-range", "half-out-of-range", "isotropic", "unmasked")
            for cell in result["attacks"].get(name, {}).values()
        ),
        "every misdeed's round is settled": all(one["settled"] for one in misdeeds),
        "no misdeed costs owners of other groups more of their pay than f groups get none": all(
            one["others_paid"] >= least_paid for one in misdeeds
        ),
        "who never delivers loses its stake": all(
            one["stake_lost_wei"] == result["stake_wei"] for one in misdeeds if one["fate"] == "void"
        ),
    }
    return [claim for claim, holds in claims.items() if not holds]


def _learnt_share(market: Cell, groups: Sequence[Sequence[int]], bad: Sequence[Sequence[int]]) -> float:
    numbers = {groups.index(group) for group in bad}
    learnt = sum(len(numbers & set(decision.learnt)) for decision in market.decisions)
    return learnt / (len(market.decisions) * len(bad)) if bad else 0.0


def _fates(decision: Decision) -> dict[str, Any]:
    """Groups by fate, as numbers in a row: a list takes a line for each of them in a record."""
    fates = ("absent", "accepted", "learnt", "ineligible", "dropped", "waived")
    return {"opened": decision.opened} | {fate: " ".join(map(str, getattr(decision, fate))) for fate in fates}
