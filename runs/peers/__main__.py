"""``python -m runs.peers``: the alternatives and the market on the same models, data owners and data, and what each protects against."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..screen import told
from .recipe import DEFAULT_PATH, load_recipe
from .run import run


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m runs.peers", description=__doc__)
    parser.add_argument("--recipe", type=Path, default=DEFAULT_PATH, help="recipe to run (default: config.toml of this run)")
    arguments = parser.parse_args()
    return told(lambda: run(load_recipe(arguments.recipe)))


if __name__ == "__main__":
    sys.exit(main())
