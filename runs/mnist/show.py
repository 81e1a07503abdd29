"""What a person sees: progress while it runs, a table at the end."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from omnilytics_flwr import RoundReport

from ..audit.verdict import verdict_text
from ..screen import ETHER, new_table, percent, show_end
from .recipe import Recipe

__all__ = ["Progress", "quiet_flower", "show_result"]


def quiet_flower(log: Path) -> Path:
    """Send what Flower and Ray say to a file; the screen is for the run."""
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("flwr")
    for old in list(logger.handlers):
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.propagate = False
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    return log


class Progress:
    """A line for every step and round, and a bar for the training under way."""

    def __init__(self, console: Console, recipe: Recipe) -> None:
        self._console = console
        self._rounds = recipe.training.rounds
        columns = (TextColumn("{task.description:<38}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Bars(*columns, console=console, transient=True)
        self._task = self._bars.add_task("set up", total=None)
        self._name = "set up"
        self._since = time.perf_counter()
        self._report: RoundReport | None = None

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._bars.stop()

    def step(self, what: str) -> None:
        """Show a step without rounds."""
        self._bars.update(self._task, description=what)

    def begin(self, name: str) -> None:
        """Begin a training."""
        self._name, self._since = name, time.perf_counter()
        self._console.print(f"[bold]{name}[/bold]")
        self._bars.reset(self._task, total=self._rounds, description=f"{name}: start the clients")

    def stage(self, number: int, stage: str) -> None:
        """Show the stage of a round."""
        self._bars.update(self._task, description=f"{self._name}: round {number}, {stage}")

    def round_done(self, report: RoundReport) -> None:
        """Remember what a round came to, to be shown with its accuracy."""
        self._report = report

    def accuracy(self, server_round: int, accuracy: float) -> None:
        """Show a round's accuracy, and in a market who was accepted for how much gas; move on."""
        now = time.perf_counter()
        line = f"  round {server_round}/{self._rounds}  accuracy {percent(accuracy):>7}  {now - self._since:5.1f} s"
        self._console.print(line + _verdict(self._report))
        self._since, self._report = now, None
        if server_round:
            self._bars.update(self._task, completed=server_round, description=f"{self._name}: round {server_round + 1}")


def _verdict(report: RoundReport | None) -> str:
    if report is None:
        return ""
    if not report.settled:
        return "  [yellow]not opened[/yellow]"
    unpaid = [*report.ineligible, *report.dropped]
    gas = sum(receipt.gas_used for receipt in report.receipts)
    waived = f"  waived {_list(report.waived)}" if report.waived else ""
    return f"  accepted groups {_list(report.accepted)}  unpaid {_list(unpaid)}{waived}  {gas:,} gas"


def _list(positions: Sequence[int]) -> str:
    return " ".join(map(str, sorted(positions))) or "none"


def show_result(console: Console, result: dict[str, Any], broken: Sequence[str], *, folder: Path, latest: Path, log: Path) -> None:
    """Print the tables of a run, and where its record is."""
    console.print()
    console.print(_accuracy_table(result))
    console.print(_round_table(result))
    console.print(_owner_table(result))
    console.print(_cost_table(result))
    show_end(console, broken, folder=folder, latest=latest, page=folder / "market.html", picture=folder / "figure.png", log=log)


def _accuracy_table(result: dict[str, Any]) -> Table:
    accuracy = result["accuracy"]
    table = new_table("Accuracy on digits that nobody trained on", "", "before", "after")
    table.add_row("model owner, in the market", percent(accuracy["before"]), percent(accuracy["after"]))
    table.add_row("public part with an untrained private part", "", percent(accuracy["public_part_alone"]))
    table.add_row("plain FedAvg, nobody poisons", percent(accuracy["before"]), percent(accuracy["plain_fedavg"]))
    table.add_row("plain FedAvg, one poisons", percent(accuracy["before"]), percent(accuracy["plain_fedavg_attacked"]))
    return table


def _round_table(result: dict[str, Any]) -> Table:
    table = new_table("Rounds", "round", "accuracy", "accepted groups", "unpaid groups", "waived", "open gas", "settle gas")
    for i, accepted in enumerate(result["accepted_groups"]):
        groups = [", ".join(map(str, some)) or "-" for some in (accepted, result["unpaid_groups"][i], result["waived_groups"][i])]
        gas = [f"{result['gas_per_round'][i].get(event, 0):,}" for event in ("open", "settle")]
        table.add_row(str(i + 1), percent(result["accuracy"]["per_round"][i + 1]), *groups, *gas)
    return table


def _owner_table(result: dict[str, Any]) -> Table:
    table = new_table("Data owners", "group", "members", "rounds accepted", "paid each, ether")
    for position, members in enumerate(result["roster"]):
        names = ", ".join(f"{m}{' (attacker)' if m in result['attackers'] else ''}" for m in members)
        accepted = sum(position in groups for groups in result["accepted_groups"])
        paid = sorted({result["paid_wei"][m] / ETHER for m in members})
        table.add_row(str(position), names, f"{accepted} of {result['rounds']}", ", ".join(f"{p:g}" for p in paid))
    return table


def _cost_table(result: dict[str, Any]) -> Table:
    gas, seconds = result["gas"], result["seconds"]
    table = new_table("What it costs", "gas", "", "time", "")
    left = [(name.replace("_", " "), f"{value:,.0f}") for name, value in gas.items()]
    right = [("market, total", f"{seconds['total']:.1f} s"), ("plain FedAvg, total", f"{seconds['plain_fedavg_total']:.1f} s")]
    right += [("ratio", f"{seconds['ratio']:.2f}")]
    right += [(f"stage {name}", f"{value:.1f} s") for name, value in seconds["by_stage"].items()]
    right += [
        (f"{name} (all data owners)", f"{seconds[key]:.1f} s")
        for name, key in (("training", "training"), ("client crypto", "client_crypto"))
    ]
    right += [("server crypto", f"{seconds['server_crypto']:.1f} s"), ("chain", f"{seconds['chain']:.1f} s")]
    right += [("chain processing, all rounds", f"{result['chain_processing_ms']:.0f} ms"), ("audit", verdict_text(result["audit"]))]
    for i in range(max(len(left), len(right))):
        table.add_row(*(left[i] if i < len(left) else ("", "")), *(right[i] if i < len(right) else ("", "")))
    return table
