"""``python -m runs.mnist``: run the market, compare it with plain FedAvg, write the record."""

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
    parser = argparse.ArgumentParser(prog="python -m runs.mnist", description="One market on MNIST digits, on a local chain.")
    parser.add_argument("--recipe", type=Path, default=DEFAULT_PATH, help="recipe to run (default: config.toml of this run)")
    parser.add_argument("--verification", choices=VERIFICATIONS, help="another than the recipe's")
    arguments = parser.parse_args()
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    recipe = load_recipe(arguments.recipe)
    if arguments.verification is not None:
        recipe = replace(recipe, market=replace(recipe.market, verification=arguments.verification))
    return run(recipe)


if __name__ == "__main__":
    sys.exit(main())
