"""From what happened to ``result.json``: every figure of a run, and the checks that a run must pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from omnilytics_flwr.market.terms import default_of

from ..audit.verdict import is_confirmed
from .compare import LOUD_PERCENT
from .confirm import Confirmation
from .protocol import Outcome
from .recipe import Recipe

__all__ = ["audits_of", "broken_promises", "result_of"]

LEAST_PAID = 0.9
"""Share of rounds in which a group is paid when nobody attacks."""
MOST_LOST = 0.005 + 1e-9
"""Accuracy that a market may cost when nobody attacks: half a point. Shares of 2,000 digits differ in their last bit."""
LEAST_SAME = 0.99
"""Share of rounds with a loud attack in which projections select the same groups."""
OUT_OF_RANGE = ("out-of-range", "half-out-of-range", "isotropic", "unmasked")
LOUD = ("sign-flip", "scaled", "noise", "constant", "nan", *OUT_OF_RANGE)
"""Attacks that bring nothing near an honest update. A flipped label is none: most of what such an owner learns is right."""


def result_of(
    recipe: Recipe,
    calm: Mapping[int, dict[str, Any]],
    cells: Mapping[str, Mapping[str, dict[str, Any]]],
    confirmations: Mapping[str, Confirmation],
    audit: dict[str, Any],
    outcomes: Sequence[Outcome],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The content of ``result.json``.

    Parameters
    ----------
    recipe : Recipe
    calm : mapping of int to dict
        Figures without any attacker, by seed; the first is the recipe's own.
    cells : mapping of str to mapping of str to dict
        Figures by attack and crowd.
    confirmations : mapping of str to Confirmation
        By attack.
    audit : dict
        What an audit of the market of confirmations comes to.
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
        "no_attacker": calm[recipe.seed],
        "no_attacker_by_seed": {str(seed): _short(figures) for seed, figures in calm.items()},
        "attacks": cells,
        "outlier_percent": default_of("outlier_percent"),
        "outlier_percents": list(recipe.sweep.outlier_percents),
        "sweep_crowd": recipe.sweep.crowd,
        "projections": _projections(calm, cells),
        "how": (
            "market: accuracy after the last round of a training whose rounds are decided by the functions that keeper and contract use, on "
            "the same integers, without masks, proofs and chain; fedavg: the same trainings, averaged by number of digits; little-is-enough, "
            "inner-product, directed-deviation and just-accepted know every honest update, which no attacker of a market does; rules: the same "
            "training under other outlier percentages, 0 being the paper's rule; projected: in a projected market"
        ),
        "confirmed_on_chain": {name: dataclasses.asdict(one) for name, one in confirmations.items()},
        "confirmed_how": (
            f"the last round of the crowd {recipe.confirm.crowd!r} once more on a local chain, with owner agents, masks, commitments, "
            "signatures, proofs and contracts: distances, groups and payments are compared"
        ),
        "confirmed_audit": audit,
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
    calm = result["no_attacker_by_seed"].values()
    differing = [one for one in result["projections"]["differing"] if one["loud"]]
    swept = [crowds[result["sweep_crowd"]] for crowds in result["attacks"].values()]
    claims = {
        "with nobody attacking, every group is paid in nine rounds of ten": all(one["least_paid_group"] >= LEAST_PAID for one in calm),
        "with nobody attacking, a market is within half a point of plain FedAvg": all(
            one["fedavg"] - one["market"] <= MOST_LOST for one in calm
        ),
        "loud attacks within f are not paid": not any(
            result["attacks"][name][crowd]["attackers_groups_paid"]
            for name in LOUD
            if name in result["attacks"]
            for crowd in _within(result)
        ),
        "under a loud attack, projections select the same groups in 99 rounds of 100": (
            len(differing) <= (1 - LEAST_SAME) * result["projections"]["loud_rounds"]
        ),
        "projections cost no accuracy under any attack": all(cell["market"] - cell["projected"] <= MOST_LOST for cell in swept),
        "every attack comes to the same on a chain": all(
            one["same_distances"] and one["same_groups"] and one["same_pay"] and one["same_as_trained"]
            for one in result["confirmed_on_chain"].values()
        ),
        "as many attacks are confirmed as there are": set(result["confirmed_on_chain"]) == set(result["attacks"]),
        "an audit from the chain alone confirms every market": all(map(is_confirmed, audits_of(result))),
        "never more than f groups of a round go unpaid": all(
            sum(len(fate[unpaid].split()) for unpaid in ("ineligible", "dropped")) <= faulty for fate in fates
        ),
        "no sum out of range is ever learned from": all(
            cell["attackers_groups_learnt"] == 0 for name in OUT_OF_RANGE for cell in result["attacks"].get(name, {}).values()
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


def audits_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What audits of the markets that lived on a chain came to."""
    return [result["confirmed_audit"], *(one["audit"] for one in result["misdeeds"])]


def _within(result: dict[str, Any]) -> list[str]:
    """Crowds that sit in at most f groups."""
    groups = {crowd: {place // result["group_size"] for place in places} for crowd, places in result["crowds"].items()}
    return [crowd for crowd, numbers in groups.items() if len(numbers) <= result["faulty_groups"]]


def _short(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures of a training without attackers but for its rounds."""
    return {name: value for name, value in figures.items() if name not in ("fates", "market_per_round", "fedavg_per_round", "attackers")}


def _projections(calm: Mapping[int, dict[str, Any]], cells: Mapping[str, Mapping[str, dict[str, Any]]]) -> dict[str, Any]:
    """In how many rounds projections select the groups that exact distances select, and in which they do not."""
    named: Iterable[tuple[str, str, dict[str, Any]]] = [
        *(("", "", figures) for figures in calm.values()),
        *((attack, crowd, figures) for attack, crowds in cells.items() for crowd, figures in crowds.items()),
    ]
    differing = [{"attack": attack, "crowd": crowd} | one for attack, crowd, figures in named for one in figures["projection_differs"]]
    rounds, loud = (sum(figures[count] for _, _, figures in named) for count in ("rounds", "loud_rounds"))
    return {
        "loud_percent": LOUD_PERCENT,
        "rounds": rounds,
        "same": rounds - len(differing),
        "loud_rounds": loud,
        "loud_same": loud - sum(one["loud"] for one in differing),
        "differing": differing,
    }
