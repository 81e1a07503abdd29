"""All cells of a run, in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from typing import Any

from .cells import Crowd, fedavg_cell, market_cell
from .recipe import Recipe
from .result import cell_figures
from .shortcut import Decision, Offer
from .trainer import Trainer, Weights

__all__ = ["Finding", "sweep"]


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What one attack by one crowd came to.

    Attributes
    ----------
    attack, crowd : str
        Empty if nobody attacks.
    figures : dict
    last_offers : list of Offer
        Of the market's last round, if they are asked for.
    last_decision : Decision
    """

    attack: str
    crowd: str
    figures: dict[str, Any]
    last_offers: list[Offer]
    last_decision: Decision


def sweep(recipe: Recipe, attacks: Sequence[str]) -> Iterator[Finding]:
    """Train without attackers, and under every attack by every crowd; findings come as they are done.

    Parameters
    ----------
    recipe : Recipe
        With its data source resolved.
    attacks : sequence of str
        Names of those to run.
    """
    # Crowd by crowd: its attacks share many models, and so trainings, wherever the market keeps the crowd out.
    jobs = [("", ""), *((crowd, attack) for crowd in recipe.crowds.by_name() for attack in attacks)]
    with ProcessPoolExecutor(recipe.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(find, recipe, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def find(recipe: Recipe, crowd_name: str, attack: str) -> Finding:
    """One attack by one crowd, with the market and without."""
    trainer, start = _begun(recipe)
    places = recipe.crowds.by_name()[crowd_name] if crowd_name else ()
    crowd = Crowd(attack, recipe.attacks.by_name()[attack] if attack else None, places)
    market = market_cell(recipe, trainer, crowd, start)
    fedavg = fedavg_cell(recipe, trainer, crowd, start)
    offers = market.last_offers if crowd_name == recipe.confirm.crowd else []
    return Finding(attack, crowd_name, cell_figures(recipe, market, fedavg, places), offers, market.decisions[-1])


@cache
def _begun(recipe: Recipe) -> tuple[Trainer, Weights]:
    """Trainer of this process, and the first model."""
    trainer = Trainer(recipe)
    return trainer, trainer.start()
