"""The run from top to bottom: every case with every peer, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from ..mnist.show import quiet_flower
from ..record import circumstances, new_folder, point_latest, write_json, write_recipe
from ..screen import new_console, show_end
from .lessons import Blocks, Noise, digits_of
from .nodes import Workers
from .parties import train
from .recipe import PEERS, Recipe
from .result import broken_promises
from .show import line_of, show_result

HERE = Path(__file__).parent
WARMING = Blocks(weights=110_000, owners=15)
"""So many weights that each client process loads c-kzg, which it does once."""


def run(recipe: Recipe) -> int:
    """Run everything and write the record; return 0 if every promise held."""
    console, folder = new_console(), new_folder(HERE)
    log = quiet_flower(folder / "flower.log")
    facts = circumstances()
    write_recipe(folder / "recipe.json", recipe)
    result: dict[str, Any] = {"run": "peers", **facts}
    with Workers(recipe.workers) as workers:
        console.print("[bold]warm up[/bold]: what is loaded once is not measured")
        for peer in PEERS:
            train(peer, WARMING, workers, secagg=recipe.secagg)
        result["costs"] = _told(console, "costs", _costs(recipe, workers))
        result["digits"] = _told(console, "digits", _digits(recipe, workers))
        result["noise"] = _told(console, "noise", _noise(recipe, workers))
        exchanges = {row["peer"]: row["exchanges"] for row in result["costs"] if "exchanges" in row}
        result["silence"] = _told(console, "silence", _silence(recipe, workers, exchanges))
    result |= {"poisoner": recipe.digits.poisoner, "published": [asdict(one) for one in recipe.published]}
    write_json(folder / "result.json", result)
    broken = broken_promises(result)
    show_result(console, result)
    show_end(console, broken, folder=folder, latest=point_latest(folder), log=log)
    return 1 if broken else 0


def _costs(recipe: Recipe, workers: Workers) -> Iterator[dict[str, Any]]:
    for cost in recipe.costs:
        for peer in cost.peers:
            size = {"weights": cost.weights, "owners": cost.owners}
            yield size | train(peer, Blocks(**size), workers, secagg=recipe.secagg)


def _digits(recipe: Recipe, workers: Workers) -> Iterator[dict[str, Any]]:
    for peer in PEERS:
        for attacked in (False, True):
            lesson = digits_of(recipe.digits, attacked=attacked)
            yield {"attacked": attacked} | train(peer, lesson, workers, rounds=recipe.digits.rounds, secagg=recipe.secagg)


def _noise(recipe: Recipe, workers: Workers) -> Iterator[dict[str, Any]]:
    for spread in recipe.noise.spreads:
        for peer in PEERS:
            yield {"spread": spread} | train(peer, Noise(recipe.noise, spread), workers, secagg=recipe.secagg)


def _silence(recipe: Recipe, workers: Workers, exchanges: dict[str, int]) -> Iterator[dict[str, Any]]:
    """One row for each exchange that a whole round of the peer has."""
    case = recipe.silence
    for peer in case.peers:
        for exchange in range(1, exchanges[peer] + 1):
            lesson, silent = Blocks(case.weights, case.owners), (case.silent, exchange)
            yield {"owners": case.owners, "silent_from": exchange} | train(peer, lesson, workers, secagg=recipe.secagg, silent=silent)


def _told(console: Console, name: str, rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each told as it is there."""
    console.print(f"[bold]{name}[/bold]")
    kept = []
    for row in rows:
        kept.append(row)
        console.print(f"  {line_of(row)}", highlight=False)
    return kept
