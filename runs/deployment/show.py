"""What a person sees: progress while it runs, tables at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from omnilytics_flwr import MarketState

from ..audit.verdict import verdict_text
from ..screen import new_table, percent, show_end


class Progress:
    """A line for what is being done, and one for everything worth remembering."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True)
        self._task = self._bars.add_task("set up", total=None)
        self._seen: tuple[int, str] | None = None
        self._begun = time.perf_counter()

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._bars.stop()

    def step(self, what: str) -> None:
        """Show what is being done."""
        self._bars.update(self._task, description=what)

    def note(self, what: str) -> None:
        """Print a line that stays."""
        self._console.print(f"  {time.perf_counter() - self._begun:6.1f} s  {what}")

    def chain(self, state: MarketState, rounds: int) -> None:
        """Show where the market stands, and note every change of it."""
        seen = (state.round, state.stage.name.lower())
        if seen == self._seen:
            return
        self._seen = seen
        if 0 < state.round <= rounds:
            self.note(f"round {seen[0]} of {rounds}: {seen[1]}")
        self.step(f"the market is {seen[1]}, round {seen[0]} of {rounds}")


def show_result(console: Console, result: dict[str, Any], broken: Sequence[str], *, folder: Path, latest: Path) -> None:
    """Print the tables of a run, and where its record is."""
    console.print()
    console.print(_round_table(result))
    console.print(_cost_table(result))
    console.print(f"An audit from the chain alone: {verdict_text(result['audit'])}.")
    show_end(console, broken, folder=folder, latest=latest, page=folder / "market.html", logs=folder / "logs")


def _round_table(result: dict[str, Any]) -> Table:
    columns = ("market", "plain", "groups", "unpaid", "accused", "answered", "gas")
    table = new_table("Rounds: accuracy in the market and of plain FedAvg", "round", *columns)
    accuracy, plain = result["accuracy"]["per_round"], result["accuracy"]["plain_fedavg_per_round"]
    plain = [percent(value) for value in plain or [None] * len(accuracy)]
    table.add_row("before", percent(accuracy[0]), plain[0], "", "", "", "", "")
    for one, after, other in zip(result["rounds"], accuracy[1:], plain[1:], strict=False):
        unpaid = sorted([*one["ineligible"], *one["dropped"], *one["void"]])
        table.add_row(
            str(one["round"]),
            percent(after),
            other,
            str(len(one["roster"])),
            " ".join(map(str, unpaid)) or "-",
            " ".join(map(str, one["accused"])) or "-",
            " ".join(map(str, one["answered"])) or "-",
            f"{sum(one['gas'].values()):,}",
        )
    return table


def _cost_table(result: dict[str, Any]) -> Table:
    seconds, clients = result["seconds"], result["clients"]
    table = new_table("A round, wall time of the server (medians)", "what", "seconds")
    if seconds["plain_round_median"] is not None:
        table.add_row("plain FedAvg: Flower's one exchange, training in it", f"{seconds['plain_round_median']:.1f}")
    for stage, value in seconds["by_stage_median"].items():
        table.add_row(f"market: {stage}", f"{value:.1f}")
    for kind, used in clients.items():
        if used:
            table.add_row(f"client process, {kind}: CPU (peak {used['peak_memory_mib']:.0f} MiB)", f"{used['cpu_seconds']:.2f}")
    return table
