"""``python -m runs.audit``: what it takes anybody to recompute a market from its history, by verification.

The markets are those of `runs.gas`; their proofs and signatures are real. Exit 1 if one is not confirmed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omnilytics_flwr import Anvil, AnvilOptions

from ..gas.rounds import Case, MeasuredMarket
from ..recipes import read_recipe
from ..record import circumstances, new_folder, point_latest, write_json
from ..screen import new_console, told
from .tables import table_of_audits
from .verdict import audited, is_confirmed

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """The markets, and how many rounds each lives."""

    rounds: int
    markets: tuple[Case, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and measure."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(arguments)
    return told(_run)


def _run() -> int:
    """Audit every market of the recipe; write the record."""
    console, recipe = new_console(), read_recipe(Recipe, HERE / "config.toml")
    rows = [measure(case, recipe.rounds) for case in recipe.markets]
    folder = new_folder(HERE)
    write_json(folder / "result.json", {"run": "audit", **circumstances(), "markets": rows})
    point_latest(folder)
    console.print(table_of_audits(rows))
    console.print(f"record {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    return 0 if all(is_confirmed(row) for row in rows) else 1


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Let a market live some rounds on a new chain, and audit it; one line of the record."""
    with Anvil(AnvilOptions()) as anvil:
        market = MeasuredMarket(anvil, case, fixed_draw=False)
        for number in range(1, rounds + 1):
            market.play(number)
        return asdict(case) | audited(market.owner)


if __name__ == "__main__":
    sys.exit(main())
