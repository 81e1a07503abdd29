"""The figures of a record as tables, for the screen and for the page of benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from ..markdown import markdown_table
from ..screen import new_table

COLUMNS = ("weights", "data owners", "CPU", "clock", "check", "sum", "prove", "memory", "one delivery")


def server_table(result: dict[str, Any]) -> str:
    """What a round takes of the model owner, for the page."""
    return markdown_table(COLUMNS, _cells(result["rounds"]), words=())


def table_of_servers(rows: Sequence[dict[str, Any]]) -> Table:
    """The same, for the screen."""
    table = new_table("The model owner's process in a round", *COLUMNS)
    for cells in _cells(rows):
        table.add_row(*cells)
    return table


def _cells(rows: Iterable[dict[str, Any]]) -> Iterable[Sequence[str]]:
    for row in rows:
        seconds = (row["cpu_seconds"], row["seconds"], *(row["steps"].get(name, 0.0) for name in ("check", "sum", "prove")))
        mib = (f"{row[name]:,.1f} MiB" for name in ("peak_mib", "delivery_mib"))
        yield (f"{row['weights']:,}", f"{row['owners']}", *(f"{one:.2f} s" for one in seconds), *mib)
