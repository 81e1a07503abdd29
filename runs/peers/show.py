"""What a person sees: a line for each row as it is there, tables at the end."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from .result import seconds_of_client
from .tables import NAMES, screen_tables


def line_of(row: dict[str, Any]) -> str:
    """What a row says, in a line."""
    where = [f"{row[key]:,} {key}" for key in ("weights", "owners") if key in row]
    where += [f"{key.replace('_', ' ')} {row[key]}" for key in ("attacked", "spread", "silent_from") if key in row]
    if "refused" in row:
        return f"{NAMES[row['peer']]}, {', '.join(where)}: refused: {row['refused']}"
    found = [f"{key.replace('_', ' ')} {row[key]:.4g}" for key in ("learnt_from", "accuracy", "error") if key in row]
    found += [f"{row['seconds']:.1f} s, server {row['server_seconds']:.1f} s", f"{row['exchanges']} exchanges", *row["failures"][:1]]
    if "owners" in row:
        found.append(f"a client {seconds_of_client(row):.2f} s")
    return f"{NAMES[row['peer']]}, {', '.join(where)}: {', '.join(found)}"


def show_result(console: Console, result: dict[str, Any]) -> None:
    """Print the tables of a run."""
    for table in screen_tables(result):
        console.print(table)
