"""``python -m runs.mnist``: run the market, compare it with plain FedAvg, write the record."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from omnilytics_flwr import OmnilyticsError

from .data import DataMissingError
from .recipe import DEFAULT_PATH, RecipeError, load_recipe
from .run import run


def main() -> int:
    """Parse, run, and say in one sentence what went wrong if it did."""
    parser = argparse.ArgumentParser(prog="python -m runs.mnist", description="One market on MNIST digits, on a local chain.")
    parser.add_argument("--recipe", type=Path, default=DEFAULT_PATH, help="recipe to run (default: config.toml of this run)")
    arguments = parser.parse_args()
    try:
        return run(load_recipe(arguments.recipe))
    except (OmnilyticsError, RecipeError, DataMissingError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
