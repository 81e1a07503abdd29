"""``python -m runs.byzantine``: attack market and plain FedAvg, compare, write the record."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from ..recipes import RecipeError
from ..screen import told
from .recipe import DEFAULT_PATH, load_recipe
from .run import run


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m runs.byzantine", description="Attackers against the market and plain FedAvg.")
    parser.add_argument("--recipe", type=Path, default=DEFAULT_PATH, help="recipe to run (default: config.toml of this run)")
    parser.add_argument("--rounds", type=int, help="rounds of each training, in place of the recipe's")
    parser.add_argument("--attacks", nargs="+", metavar="NAME", help="attacks to run (default: all of the recipe)")
    arguments = parser.parse_args()
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    recipe = load_recipe(arguments.recipe)
    if arguments.rounds is not None:
        recipe = replace(recipe, training=replace(recipe.training, rounds=arguments.rounds))
    known = recipe.attacks.by_name()
    attacks = arguments.attacks or list(known)
    if unknown := [name for name in attacks if name not in known]:
        raise RecipeError(f"{unknown[0]} is no attack of the recipe; expected some of {', '.join(known)}")
    return run(recipe, attacks)


if __name__ == "__main__":
    sys.exit(main())
