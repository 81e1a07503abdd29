"""``python -m runs.models``: models of four sizes in markets with an attacker, beside plain FedAvg without one; writes the record."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..screen import told
from .recipe import DEFAULT_PATH, MODELS, load_recipe
from .run import run


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m runs.models", description="Models of four sizes in markets, beside plain FedAvg.")
    parser.add_argument("--recipe", type=Path, default=DEFAULT_PATH, help="recipe to run (default: config.toml of this run)")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS, help="models to run (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds of each training, in place of the recipe's")
    arguments = parser.parse_args()
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    recipe = load_recipe(arguments.recipe)
    if arguments.rounds is not None:
        shorter: dict[str, Any] = {name: replace(recipe.training(name), rounds=arguments.rounds) for name in MODELS}
        recipe = replace(recipe, **shorter)
    return run(recipe, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
