"""``python -m runs.gas``: what opening and settling a round costs, by verification, data owners, groups and weights.

``--check`` measures and compares with the reference instead; exit 1 if a figure differs. No training, no times: the figures are exact.
Computed rounds that fit no transaction are extrapolated, and listed by themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ..recipes import RecipeError
from ..record import circumstances, new_folder, point_latest, write_json
from ..screen import WholeTable, new_console, told
from .extrapolation import Line
from .rounds import Case, Cost, measure

HERE = Path(__file__).parent
REFERENCE = HERE / "reference" / "result.json"
COLUMNS = ("verification", "owners", "groups", "weights", "open_gas", "settle_gas", "round_gas", "bytes", "gas_at_64_a_byte")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The rounds to measure, and the weights to which each computed market is extrapolated."""

    cases: tuple[Case, ...]
    extrapolated: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the reference")
    check = parser.parse_args(arguments).check
    return told(lambda: _run(check=check))


def _run(*, check: bool) -> int:
    """Measure every round of the recipe; write the record, or compare."""
    console, rows = new_console(), []
    recipe = read_recipe((HERE / "config.toml").read_text(encoding="utf-8"))
    for case in recipe.cases:
        rows.append(row_of(case, measure(case)))
        console.print(", ".join(f"{name} {value}" for name, value in rows[-1].items()))
    if check:
        wrong = differences(json.loads(REFERENCE.read_text(encoding="utf-8"))["rounds"], rows)
        for line in wrong:
            console.print(line)
        return 1 if wrong else 0
    folder = new_folder(HERE)
    beyond = extrapolated(rows, recipe.extrapolated)
    write_json(folder / "result.json", {"run": "gas", **circumstances(), "rounds": rows, "extrapolated": beyond})
    point_latest(folder)
    console.print(table_of("Gas of a round", rows), table_of("Extrapolated", beyond))
    console.print(f"record {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    return 0


def read_recipe(text: str) -> Recipe:
    """What a recipe names.

    Raises
    ------
    RecipeError
        A key is unknown or missing.
    """
    recipe = tomllib.loads(text)
    if set(recipe) != {"rounds", "extrapolated"}:
        raise RecipeError(f"config.toml has the keys {sorted(recipe)}; expected rounds and extrapolated")
    cases: list[Case] = []
    for entry in recipe["rounds"]:
        if set(entry) != {"verification", "owners", "groups", "weights"}:
            raise RecipeError(f"a round of config.toml has the keys {sorted(entry)}; expected verification, owners, groups and weights")
        cases += [Case(entry["verification"], entry["owners"], entry["groups"], weights) for weights in entry["weights"]]
    return Recipe(tuple(cases), tuple(recipe["extrapolated"]))


def row_of(case: Case, cost: Cost) -> dict[str, Any]:
    """One line of the record."""
    return {
        "verification": case.verification,
        "owners": case.owners,
        "groups": case.groups,
        "weights": case.weights,
        "polynomials": case.proven,
        "open_gas": cost.open_gas,
        "settle_gas": cost.settle_gas,
        "round_gas": cost.open_gas + cost.settle_gas,
        "bytes": cost.bytes,
        "gas_at_64_a_byte": cost.gas_at_64_a_byte,
    }


def extrapolated(rows: list[dict[str, Any]], weights: Sequence[int]) -> list[dict[str, Any]]:
    """Lines of the record that follow from those of computed rounds, of which each market has two: smallest and largest."""
    computed = [(case, cost) for case, cost in map(_measured, rows) if case.is_computed]
    lines = [Line(small, large) for small, large in zip(computed[::2], computed[1::2], strict=True)]
    return [row_of(*line.at(each)) | {"gas_of_a_weight": round(line.gas_of_a_weight, 1)} for line in lines for each in weights]


def _measured(row: dict[str, Any]) -> tuple[Case, Cost]:
    case = Case(row["verification"], row["owners"], row["groups"], row["weights"])
    return case, Cost(row["open_gas"], row["settle_gas"], row["bytes"])


def differences(reference: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[str]:
    """Rows that the reference has not, one line each."""
    return [f"the reference does not have {row}; adopt a new record if it should" for row in rows if row not in reference]


def table_of(title: str, rows: list[dict[str, Any]]) -> Table:
    """The rows as a table for people."""
    table = WholeTable(title=title, title_justify="left")
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), justify="left" if column == "verification" else "right")
    for row in rows:
        table.add_row(*(f"{row[column]:,}" if isinstance(row[column], int) else row[column] for column in COLUMNS))
    return table


if __name__ == "__main__":
    sys.exit(main())
