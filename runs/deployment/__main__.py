"""``python -m runs.deployment``: a market in real processes, checked like the demo."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from ..market import VERIFICATIONS
from ..screen import told
from .recipe import DEFAULT_PATH, load_recipe
from .run import run


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m runs.deployment", description="One market in real processes on this machine.")
    parser.add_argument("--recipe", type=Path, default=DEFAULT_PATH, help="recipe to run (default: config.toml of this run)")
    parser.add_argument("--rounds", type=int, help="other number of rounds than the recipe's")
    parser.add_argument("--verification", choices=VERIFICATIONS, help="another than the recipe's")
    parser.add_argument("--no-simulation", action="store_true", help="do not repeat the rounds in Flower's simulation to compare")
    parser.add_argument("--no-plain", action="store_true", help="do not run plain FedAvg on the same SuperNodes to compare")
    arguments = parser.parse_args()
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    recipe = load_recipe(arguments.recipe)
    if arguments.rounds is not None:
        recipe = replace(recipe, rounds=arguments.rounds, victim_round=min(recipe.victim_round, arguments.rounds))
    if arguments.verification is not None:
        recipe = replace(recipe, market=replace(recipe.market, verification=arguments.verification))
    return run(recipe, plain=not arguments.no_plain, simulation=not arguments.no_simulation)


if __name__ == "__main__":
    sys.exit(main())
