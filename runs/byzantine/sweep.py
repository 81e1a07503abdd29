"""All cells of a run, in processes of their own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from .cells import Crowd, fedavg_cell, market_cell, usual_terms
from .compare import calm_figures, cell_figures, rule_figures
from .recipe import Recipe
from .shortcut import Decision, Offer
from .trainer import Trainer, Weights

__all__ = ["Finding", "Job", "jobs_of", "sweep"]


@dataclass(frozen=True, slots=True)
class Job:
    """One attack by one crowd, both empty if nobody attacks; with a split and first weights drawn from `seed`."""

    seed: int
    attack: str = ""
    crowd: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a job came to.

    Attributes
    ----------
    job : Job
    figures : dict
    last_offers : list of Offer
        Of the market's last round, if they are asked for.
    last_decision : Decision
    """

    job: Job
    figures: dict[str, Any]
    last_offers: list[Offer]
    last_decision: Decision


def jobs_of(recipe: Recipe, attacks: Sequence[str]) -> list[Job]:
    """Trainings without attackers on every split, and under every attack by every crowd on the first.

    Crowd by crowd: its attacks share many models, and so trainings, wherever the market keeps the crowd out.
    """
    calm = [Job(seed) for seed in (recipe.seed, *recipe.sweep.calm_seeds)]
    return [*calm, *(Job(recipe.seed, attack, crowd) for crowd in recipe.crowds.by_name() for attack in attacks)]


def sweep(recipe: Recipe, attacks: Sequence[str]) -> Iterator[Finding]:
    """Do all jobs; findings come as they are done.

    Parameters
    ----------
    recipe : Recipe
        With its data source resolved.
    attacks : sequence of str
        Names of those to run.
    """
    with ProcessPoolExecutor(recipe.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        # Ctrl-C reaches the workers too: they inherit that it is blocked, and this process ends them.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        futures = [pool.submit(find, recipe, job) for job in jobs_of(recipe, attacks)]
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def find(recipe: Recipe, job: Job) -> Finding:
    """One attack by one crowd: in the market, by plain FedAvg and, where the recipe asks for it, under the other rules."""
    recipe = replace(recipe, seed=job.seed)
    trainer, start = _begun(recipe)
    places = recipe.crowds.by_name()[job.crowd] if job.crowd else ()
    crowd = Crowd(job.attack, recipe.attacks.by_name()[job.attack] if job.attack else None, places)
    market = market_cell(recipe, trainer, crowd, start, beside=True)
    figures = cell_figures(recipe, market, fedavg_cell(recipe, trainer, crowd, start), places)
    if job.crowd in ("", recipe.sweep.crowd):
        usual = usual_terms(recipe)
        figures["rules"] = {
            str(percent): rule_figures(
                recipe,
                market
                if percent == usual.outlier_percent
                else market_cell(recipe, trainer, crowd, start, replace(usual, outlier_percent=percent)),
                places,
            )
            for percent in recipe.sweep.outlier_percents
        }
        figures["projected"] = market_cell(recipe, trainer, crowd, start, replace(usual, projected=True)).accuracies[-1]
    if not job.attack:
        figures |= calm_figures(recipe, market)
    offers = market.last_offers if job.crowd == recipe.confirm.crowd else []
    return Finding(job, figures, offers, market.decisions[-1])


@cache
def _begun(recipe: Recipe) -> tuple[Trainer, Weights]:
    """Trainer of this process, and the first model."""
    trainer = Trainer(recipe)
    return trainer, trainer.start()
