"""The run from top to bottom, as a person watches it."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from omnilytics_flwr import LocalMarket
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper

from ..audit.verdict import audited
from ..mnist.data import resolve_source
from ..record import circumstances, new_folder, point_latest, write_json, write_recipe
from ..screen import new_console, percent
from .confirm import Confirmation, confirm
from .figure import draw
from .protocol import MISDEEDS, Outcome, play
from .recipe import Recipe, terms_of
from .result import broken_promises, result_of
from .show import show_result
from .sweep import Finding, Job, jobs_of, sweep

__all__ = ["run"]

HERE = Path(__file__).parent


def run(recipe: Recipe, attacks: Sequence[str]) -> int:
    """Run everything and write the record; return 0 if every promise held."""
    console = new_console()
    folder, facts = new_folder(HERE), circumstances()
    recipe = replace(recipe, data=resolve_source(recipe.digits()).data)
    write_recipe(folder / "recipe.json", recipe)
    console.print(f"[bold]Attackers[/bold]: {recipe.data.owners} data owners, MNIST digits ({recipe.data.source}), {len(attacks)} attacks")
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    seconds: dict[str, float] = {}
    with Progress(*columns, console=console, transient=True) as progress:
        findings = _sweep(recipe, attacks, progress, seconds)
        confirmations, audit = _confirm(recipe, findings, attacks, progress, seconds)
        outcomes = _misdeeds(recipe, progress, seconds)
    calm = {job.seed: finding.figures for job, finding in findings.items() if not job.attack}
    cells = {attack: {crowd: findings[Job(recipe.seed, attack, crowd)].figures for crowd in recipe.crowds.by_name()} for attack in attacks}
    command = shlex.join(["python", "-m", "runs.byzantine", *sys.argv[1:]])
    result = {"run": "byzantine", "command": command, "seed": recipe.seed, **facts}
    result |= result_of(recipe, calm, cells, confirmations, audit, outcomes, seconds)
    write_json(folder / "result.json", result)
    draw(folder / "result.json", folder / "figure.png")
    latest = point_latest(folder)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    broken = broken_promises(result)
    show_result(console, result, broken, folder=folder, latest=latest)
    return 1 if broken else 0


def _sweep(recipe: Recipe, attacks: Sequence[str], progress: Progress, seconds: dict[str, float]) -> dict[Job, Finding]:
    begun = time.perf_counter()
    total = len(jobs_of(recipe, attacks))
    bar = progress.add_task("train under every attack", total=total)
    findings = {}
    for finding in sweep(recipe, attacks):
        findings[finding.job] = finding
        progress.advance(bar)
        told = f"{len(findings)} of {total}: {time.perf_counter() - begun:.0f} s, {finding.job.attack or 'nobody'} {finding.job.crowd}"
        progress.console.print(f"{told}: market {percent(finding.figures['market'])}, plain FedAvg {percent(finding.figures['fedavg'])}")
    seconds["trainings"] = time.perf_counter() - begun
    return findings


def _confirm(
    recipe: Recipe, findings: dict[Job, Finding], attacks: Sequence[str], progress: Progress, seconds: dict[str, float]
) -> tuple[dict[str, Confirmation], dict[str, Any]]:
    begun = time.perf_counter()
    bar = progress.add_task("repeat each attack on a chain", total=len(attacks))
    confirmed = {}
    with LocalMarket(terms_of(recipe, rounds=len(attacks)), num_owners=recipe.data.owners, computed=recipe.market.is_computed) as market:
        keeper = RoundKeeper(market.ledger)
        for attack in attacks:
            finding = findings[Job(recipe.seed, attack, recipe.confirm.crowd)]
            confirmed[attack] = confirm(market, keeper, attack, finding.last_offers, finding.last_decision)
            progress.advance(bar)
            progress.console.print(f"{attack} on a chain: {'the same' if confirmed[attack].holds else 'NOT the same'}")
        audit = audited(market.ledger)
    seconds["confirmations"] = time.perf_counter() - begun
    return confirmed, audit


def _misdeeds(recipe: Recipe, progress: Progress, seconds: dict[str, float]) -> list[Outcome]:
    begun = time.perf_counter()
    bar = progress.add_task("break the protocol on a chain", total=len(MISDEEDS))
    outcomes: list[Any] = []
    for misdeed in MISDEEDS:
        outcomes.append(play(recipe, misdeed))
        progress.advance(bar)
        progress.console.print(f"{misdeed.name} on a chain: its group is {outcomes[-1].fate}")
    seconds["misdeeds"] = time.perf_counter() - begun
    return outcomes
