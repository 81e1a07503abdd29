"""The tables of a record, for the screen and for the page of benchmarks; light to import."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from ..markdown import markdown_table
from ..screen import new_table

PLAIN = "plain FedAvg"
"""In place of a verification: Flower's FedAvg, nobody poisoning."""

TRAININGS = (
    "training",
    "weights",
    "accuracy",
    "client, CPU s",
    "client, MiB",
    "sent, MiB",
    "server, CPU s",
    "server, MiB",
    "settle gas",
    "of 20 owners",
)
STEPS = ("training", "who", "step", "seconds", "CPU s", "peak MiB")

Cells = Sequence[str]


def screen_tables(result: dict[str, Any]) -> Iterable[Table]:
    """Both tables, for people at a terminal."""
    for title, columns, rows in (
        ("A round of each training", TRAININGS, _trainings(result)),
        ("Where a market's time goes in a round", STEPS, _steps(result)),
    ):
        table = new_table(title, *columns)
        for row in rows:
            table.add_row(*row)
        yield table


def models_table(result: dict[str, Any]) -> str:
    """Both tables in Markdown."""
    return "\n\n".join((markdown_table(TRAININGS, _trainings(result)), markdown_table(STEPS, _steps(result), words=(0, 1, 2))))


def _trainings(result: dict[str, Any]) -> Iterable[Cells]:
    for row in result["trainings"]:
        client, server, gas, of_20 = row["client"], row["server"], row.get("gas", {}), row.get("gas_of_20_owners")
        yield (
            _name(row),
            f"{row['weights']:,}",
            f"{row['accuracy'][-1]:.1%}",
            f"{client['cpu_seconds']:.2f}",
            f"{client['mib']:.0f}",
            f"{client['sent_mib']:.2f}",
            f"{server['cpu_seconds']:.1f}",
            f"{server['mib']:.0f}",
            f"{gas['settle']:,.0f}" if "settle" in gas else "",
            f"{of_20['settle_gas']:,}" if of_20 else "",
        )


def _steps(result: dict[str, Any]) -> Iterable[Cells]:
    for row in (row for row in result["trainings"] if row["verification"] != PLAIN):
        for step, spent in row["client"]["steps"].items():
            cpu, peak = spent.get("cpu_seconds"), spent.get("peak_memory_bytes")
            used = ("" if cpu is None else f"{cpu:.3f}", "" if peak is None else f"{peak / 2**20:.0f}")
            yield (_name(row), "data owner", step, f"{spent['seconds']:.3f}", *used)
        for step, seconds in row["server"]["steps"].items():
            yield (_name(row), "model owner", step.replace("_", " "), f"{seconds:.3f}", "", "")


def _name(row: dict[str, Any]) -> str:
    return f"{row['model']}, {row['verification']}"
