"""The figures of a record as tables, for the screen and for the page of benchmarks."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ..markdown import markdown_table
from ..screen import new_table

MIB = 1 << 20


def name_of(case: dict[str, Any]) -> str:
    """What kind of market a case is."""
    name = f"{case['verification']}, {'with' if case['accusations'] else 'without'} accusations"
    return f"{name}, training takes {case['training_seconds']} s" if case["training_seconds"] else name


def client_table(result: dict[str, Any]) -> str:
    """What one client takes beyond training, and its agent's steps, for the page."""
    names = list(dict.fromkeys(name for row in result["cases"] for name in row["steps"]))
    head = ["weights", "market", "CPU", "clock", *names, "peak memory / plain", "sent"]
    rows = []
    for row in result["cases"]:
        client, plain = row["client"], row["plain"]
        steps = [f"{row['steps'][name]['cpu_seconds']:.2f}" if name in row["steps"] else "" for name in names]
        memory = f"{client['peak_memory_bytes'] / MIB:.0f} / {plain['peak_memory_bytes'] / MIB:.0f} MiB"
        seconds = f"{client['cpu_seconds']:.2f} s", f"{client['seconds']:.2f} s"
        cells = [f"{row['weights']:,}", name_of(row), *seconds, *steps, memory, f"{client['sent_bytes'] / MIB:.1f} MiB"]
        rows.append(cells)
    return markdown_table(head, rows, words=(1,))


def table_of_clients(rows: list[dict[str, Any]]) -> Table:
    """The client beside a plain one."""
    table = new_table("A client in a round, beyond training", "weights", "CPU s", "s", "peak MiB", "plain MiB", "of plain", "sent MiB")
    for row in rows:
        client, plain = row["client"], row["plain"]
        peak, plain_peak = client["peak_memory_bytes"], plain["peak_memory_bytes"]
        numbers = f"{client['cpu_seconds']:.2f}", f"{client['seconds']:.2f}", f"{peak / MIB:.0f}", f"{plain_peak / MIB:.0f}"
        table.add_row(f"{row['weights']:,} {name_of(row)}", *numbers, f"{peak / plain_peak:.2f}", f"{client['sent_bytes'] / MIB:.1f}")
    return table


def table_of_steps(rows: list[dict[str, Any]]) -> Table:
    """CPU seconds of each step of the agent, and the process's peak after it."""
    names = list(dict.fromkeys(name for row in rows for name in row["steps"]))
    table = new_table("CPU seconds by step (peak MiB)", "weights", *names)
    for row in rows:
        cells = [row["steps"].get(name) for name in names]
        shown = [f"{cell['cpu_seconds']:.2f} ({cell['peak_memory_bytes'] / MIB:.0f})" if cell else "" for cell in cells]
        table.add_row(f"{row['weights']:,} {name_of(row)}", *shown)
    return table
