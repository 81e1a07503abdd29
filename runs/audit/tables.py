"""The figures of a record as tables, for the screen and for the page of benchmarks."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ..markdown import markdown_table
from ..screen import new_table
from .verdict import is_confirmed

COLUMNS = ("verification", "data owners", "weights", "transactions", "read, a round", "recompute, a round", "confirmed")


def audit_table(result: dict[str, Any]) -> str:
    """What an audit takes, for the page."""
    return markdown_table(COLUMNS, map(_cells, result["markets"]))


def table_of_audits(rows: list[dict[str, Any]]) -> Table:
    """The same, for the screen."""
    table = new_table("Audits", *COLUMNS)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    a_round = [f"{row[name] / row['rounds']:.2f} s" for name in ("read_seconds", "recompute_seconds")]
    counts = [f"{row[name]:,}" for name in ("owners", "weights", "transactions")]
    return row["verification"], *counts, *a_round, "yes" if is_confirmed(row) else "no"
