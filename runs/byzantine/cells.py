"""One cell: a training under one attack by one crowd, in the market or by plain FedAvg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnilytics_flwr import Terms
from omnilytics_flwr.adversary.knowledge import Knowledge, Rule
from omnilytics_flwr.adversary.registry import Family
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.market.examples import count_of, limit_of, share_of, usual_of

from .recipe import ANY_VERIFICATION, Recipe, family_of, terms_of
from .shortcut import Decision, Offer, decide_sums, groups_of, sums_of
from .trainer import Trainer, Weights

__all__ = ["Cell", "Crowd", "fedavg_cell", "market_cell", "usual_terms"]

MARKET_ONLY = (Family.VECTOR,)
"""Plain FedAvg has no vectors of field elements."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who attacks how: name of the attack (empty if nobody does), the attack, places of the attackers."""

    name: str = ""
    attack: Any = None
    attackers: tuple[int, ...] = ()


@dataclass(slots=True)
class Cell:
    """What a training came to.

    Attributes
    ----------
    accuracies : list of float
        On the test digits, before the first round and after each.
    decisions : list of Decision
        In the market: of each round.
    projected : list of Decision
        What a projected market would have decided of the same sums, if it was asked.
    last_offers : list of Offer
        In the market: what was brought to the last round.
    """

    accuracies: list[float] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    projected: list[Decision] = field(default_factory=list)
    last_offers: list[Offer] = field(default_factory=list)


@dataclass(slots=True)
class _History:
    """What attackers remember from round to round."""

    honest: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    before: Weights | None = None


def usual_terms(recipe: Recipe) -> Terms:
    """The terms of an exact market."""
    return replace(terms_of(recipe, rounds=recipe.training.rounds)(ANY_VERIFICATION), projected=False)


def market_cell(
    recipe: Recipe, trainer: Trainer, crowd: Crowd, start: Weights, terms: Terms | None = None, *, beside: bool = False
) -> Cell:
    """Train in a market whose data owners state how many digits they have.

    Parameters
    ----------
    terms : Terms, optional
        By default `usual_terms`.
    beside : bool (default: False)
        Whether to ask a projected market about each round too.
    """
    terms = usual_terms(recipe) if terms is None else terms
    weights, cell, history, owners = start, Cell([trainer.accuracy(start)]), _History(), recipe.data.owners
    usual = usual_of(trainer.examples.tolist())
    counted = [[count_of(int(trainer.examples[place]), usual) for place in group] for group in groups_of(owners, terms.group_size)]
    limits = [limit_of(terms.clip, count, usual) for group in counted for count in group]
    shares = [share_of(count, group) for group in counted for count in group]
    counts = [sum(group) for group in counted]

    def weighed(update: NDArray[np.float64], owner: int) -> NDArray[np.float64]:
        return np.clip(update, -limits[owner], limits[owner]) * shares[owner]

    for number in range(1, recipe.training.rounds + 1):
        offers = _offers(recipe, trainer, crowd, weights, number, history, terms, weighed)
        keys = [keccak256(word(recipe.seed) + word(number) + word(place)) for place in range(owners)]
        sums, seed = sums_of(terms, offers, keys), keccak256(word(recipe.seed) + word(number))
        decision = decide_sums(terms, sums, owners, seed, counts)
        if decision.mean is not None:
            weights = (weights.astype(np.float64) + decision.mean).astype(np.float32)
        cell.accuracies.append(trainer.accuracy(weights))
        cell.decisions.append(decision)
        if beside:
            cell.projected.append(decide_sums(replace(terms, projected=True), sums, owners, seed, counts))
        cell.last_offers = offers
    return cell


def fedavg_cell(recipe: Recipe, trainer: Trainer, crowd: Crowd, start: Weights) -> Cell | None:
    """Train by FedAvg, every update weighted by its owner's digits; None if the attack needs a market."""
    if crowd.name and family_of(crowd.name) in MARKET_ONLY:
        return None
    terms = usual_terms(recipe)
    weights, cell, history = start, Cell([trainer.accuracy(start)]), _History()
    for number in range(1, recipe.training.rounds + 1):
        if np.isfinite(weights).all():
            offers = _offers(recipe, trainer, crowd, weights, number, history, terms, lambda update, owner: update)
            mean = np.average([offer.update for offer in offers], axis=0, weights=trainer.examples)
            with np.errstate(over="ignore"):
                weights = (weights.astype(np.float64) + mean).astype(np.float32)
        cell.accuracies.append(trainer.accuracy(weights))
    return cell


def _offers(
    recipe: Recipe,
    trainer: Trainer,
    crowd: Crowd,
    weights: Weights,
    number: int,
    history: _History,
    terms: Terms,
    weighed: Callable[[NDArray[np.float64], int], NDArray[np.float64]],
) -> list[Offer]:
    """What everybody brings to a round: honest updates as `weighed` by their owners; an attacker brings what it likes."""
    honest = [weighed(trainer.update(weights, number, owner), owner) for owner in range(recipe.data.owners)]
    move = None if history.before is None else weights.astype(np.float64) - history.before.astype(np.float64)
    offers = [Offer(update) for update in honest]
    for place in crowd.attackers:
        family = family_of(crowd.name)
        if family is Family.LABELS:
            offers[place] = Offer(weighed(trainer.update(weights, number, place, flipped=True), place))
        elif family is Family.VECTOR:
            offers[place] = Offer(honest[place], crowd.attack)
        else:
            known = Knowledge(
                honest[place],
                rng=np.random.default_rng([recipe.seed, place, number]),
                seen=_seen(family, honest, place),
                earlier=history.honest.get(place),
                last_move=move,
                owners=recipe.data.owners,
                attackers=len(crowd.attackers),
                place=place,
                accomplices=tuple(other for other in crowd.attackers if other != place),
                rule=Rule(terms.group_size, terms.faulty_groups, terms.outlier_percent),
            )
            offers[place] = Offer(crowd.attack(known))
        history.honest[place] = honest[place]
    history.before = weights
    return offers


def _seen(family: Family, honest: Sequence[NDArray[np.float64]], place: int) -> tuple[NDArray[np.float64], ...]:
    """For attacks that collude, the worst case: everybody's honest update, which masks keep from any real attacker."""
    return tuple(update for owner, update in enumerate(honest) if owner != place) if family is Family.COLLUSION else ()
