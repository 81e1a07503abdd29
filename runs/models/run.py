"""The run from top to bottom, as a person watches it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from omnilytics_flwr.market.public_part import count_weights

from ..gas.rounds import Case, Cost, measure
from ..mnist.show import quiet_flower
from ..record import circumstances, new_folder, point_latest, write_json, write_recipe
from ..screen import new_console, show_end
from .app import model_arrays
from .figure import draw
from .networks import NETWORKS
from .recipe import MODELS, Recipe
from .result import broken_promises, row_of
from .tables import PLAIN, screen_tables
from .trainings import Verification, starting_model, train_in_market, train_plain

HERE = Path(__file__).parent
GAS_OWNERS, GAS_GROUPS = 20, 5


def run(recipe: Recipe, models: Sequence[str] = MODELS) -> int:
    """Run the trainings of these models and write the record; return 0 if every promise held."""
    console = new_console()
    folder = new_folder(HERE)
    log, facts = quiet_flower(folder / "flower.log"), circumstances()
    write_recipe(folder / "recipe.json", recipe)
    smallest = _gas(_weights(MODELS[0]), "projected")
    settings = {
        "owners": recipe.owners,
        "attackers": recipe.attackers,
        "attack": recipe.attack,
        "promises": dataclasses.asdict(recipe.promises),
    }
    rows = [row for model in models for row in _trainings(recipe, model, console)]
    result = {"run": "models", "seed": recipe.seed, **facts, **settings, "settle_gas_of_smallest": smallest.settle_gas, "trainings": rows}
    write_json(folder / "result.json", result)
    draw(folder / "result.json", folder / "figure.png")
    latest = point_latest(folder)
    result = json.loads((folder / "result.json").read_text())
    broken = broken_promises(result)
    console.print(*screen_tables(result))
    show_end(console, broken, folder=folder, latest=latest, picture=folder / "figure.png", log=log)
    return 1 if broken else 0


def _trainings(recipe: Recipe, model: str, console: Console) -> list[dict[str, Any]]:
    """The lines of one model: plain FedAvg, then its markets."""
    start, weights = starting_model(recipe, model), _weights(model)
    rows = []
    for kind in (PLAIN, *recipe.training(model).verifications):
        console.print(f"[bold]{model}[/bold], {weights:,} weights: {kind}")
        begun = time.perf_counter()

        def on_round(line: str) -> None:
            console.print(f"  {line}  {time.perf_counter() - begun:.0f} s")  # noqa: B023 - called in this turn of the loop

        if kind == PLAIN:
            rows.append(row_of(recipe, model, kind, train_plain(recipe, model, start, on_round=on_round), weights=weights))
            continue
        trained = train_in_market(recipe, model, start, cast("Verification", kind), on_round=on_round)
        rows.append(row_of(recipe, model, kind, trained, weights=weights, gas=_gas(weights, kind)))
    return rows


def _weights(model: str) -> int:
    network = NETWORKS[model]
    return count_weights(model_arrays(network.make()), network.private)


def _gas(weights: int, verification: str) -> Cost:
    """What a round of 20 data owners costs on the chain, by the run of gas; it settles by one transaction, or not at all."""
    return measure(Case(verification, GAS_OWNERS, GAS_GROUPS, weights))
