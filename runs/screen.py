"""What the screens of all runs share: tables, how a run ended, where its files are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from omnilytics_flwr import OmnilyticsError
from omnilytics_flwr.interruption import INTERRUPTED, Interrupted, interruptible

from .recipes import RunError

ETHER = 10**18
_WIDEST = 10_000


class WholeTable(Table):
    """A table that is as wide as its cells, whatever the terminal: a number that is cut, or a row that is folded, tells nothing."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from super().__rich_console__(console, options.update(width=_WIDEST))


def new_console() -> Console:
    """A screen that breaks no line by itself: a terminal does that where it must, and a file or pipe has room."""
    return Console(soft_wrap=True)


def told(run: Callable[[], int]) -> int:
    """Exit code of a run; what goes wrong, or that somebody interrupted it, is said in one sentence."""
    try:
        with interruptible():
            return run()
    except Interrupted:
        return INTERRUPTED
    except (OmnilyticsError, RunError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def percent(share: float | None) -> str:
    """A share in percent."""
    return "-" if share is None else f"{in_percent(share):.1f} %"


def in_percent(share: float) -> float:
    """A share in percent to the tenth that every screen and page shows of it: a browser rounds 64.25 otherwise."""
    return round(100 * share, 1)


def new_table(title: str, *columns: str) -> Table:
    """An empty table: words in its first column, numbers in the others."""
    made = WholeTable(title=title, title_justify="left", title_style="bold")
    made.add_column(columns[0])
    for column in columns[1:]:
        made.add_column(column, justify="right")
    return made


def show_end(console: Console, broken: Sequence[str], *, folder: Path, latest: Path, **files: Path) -> None:
    """Say whether every promise held, and where the record and its `files` are."""
    if broken:
        console.print("[bold red]This run did not show:[/bold red]")
        for claim in broken:
            console.print(f"  - {claim}")
    else:
        console.print("[bold green]Every promise of this run held.[/bold green]")
    console.print(f"record   {os.path.relpath(folder)}  (also {os.path.relpath(latest)})")
    for name, file in files.items():
        console.print(f"{name:<8} {os.path.relpath(file)}")
