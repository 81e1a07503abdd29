"""``python -m runs.examples APP``: run a Flower app in a market on this machine, and show what everybody earned."""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from omnilytics_flwr import LocalMarket
from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.trial.app_model import initial_arrays

from ..plugin.flower import run_app
from ..screen import ETHER, new_table, told

OWNERS, GROUP_SIZE = 15, 3
ENTRIES = {"metrics", "private", "clip", "longest-mean", "reward"}
"""What an app may say of its market in its pyproject.toml, under ``[tool.omnilytics]``: options of `LocalMarket.for_model`."""


def main(arguments: list[str] | None = None) -> int:
    """Parse and do it."""
    parser = argparse.ArgumentParser(prog="python -m runs.examples", description=__doc__)
    parser.add_argument("app", type=Path, metavar="APP", help="folder of the app's pyproject.toml, e.g. runs/examples/quickstart")
    parser.add_argument("--rounds", type=int, help="rounds to train (default: the app's num-server-rounds)")
    chosen = parser.parse_args(arguments)
    return told(lambda: play(chosen.app, chosen.rounds, Console()))


def play(app: Path, rounds: int | None, console: Console) -> int:
    """Run an app in a market that fits it."""
    options, config = settings_of(app)
    number = rounds or int(config.get("num-server-rounds", 3))
    model = initial_arrays(app)
    say = console.status("starting a market")
    with (
        say,
        LocalMarket.for_model(model, num_owners=OWNERS, group_size=GROUP_SIZE, rounds=number, on_stage=say.update, **options) as market,
    ):
        say.update(f"flwr run {app} ({OWNERS} data owners, {number} rounds)")
        with tempfile.TemporaryDirectory(prefix="omnilytics-") as work:
            printed = run_app(
                app.resolve(), Path(work), supernodes=OWNERS, run_config={"num-server-rounds": number}, environment=market.environment
            )
        earned = earnings(market, number)
    console.print("\n".join(line for line in printed.splitlines() if line.startswith("after round ")), markup=False)
    show(console, earned, number)
    return 0


def settings_of(app: Path) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Options of the app's market, and its run config.

    Raises
    ------
    TermsError
        The folder holds no app, or it says what no market knows.
    """
    try:
        tool = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
        config = tool["flwr"]["app"].get("config", {})
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise TermsError(f"{app} is no Flower app ({error!r}); expected a pyproject.toml with [tool.flwr.app]; check the path") from error
    said = tool.get("omnilytics", {})
    if unknown := sorted(set(said) - ENTRIES):
        raise TermsError(f"[tool.omnilytics] says {', '.join(unknown)}; expected some of {', '.join(sorted(ENTRIES))}; correct {app}")
    return {name.replace("-", "_"): value for name, value in said.items()}, config


def earnings(market: LocalMarket, rounds: int) -> dict[str, tuple[int, int]]:
    """Of each data owner, by address: rounds that paid it, and what it may claim in wei."""
    paid = [market.ledger.paid_seats(number) for number in range(1, rounds + 1)]
    seats = {ledger.account: ledger.owner_record(ledger.account).seat for ledger in market.owner_ledgers()}
    counts = {owner: sum(bitmap >> seat & 1 for bitmap in paid) for owner, seat in seats.items()}
    reward_wei = market.ledger.terms().reward_wei
    return {owner: (count, count * reward_wei) for owner, count in counts.items()}


def show(console: Console, earned: Mapping[str, tuple[int, int]], rounds: int) -> None:
    """Print what everybody earned."""
    table = new_table("What everybody earned", "data owner", f"rounds paid, of {rounds}", "ether")
    for owner, (count, wei) in earned.items():
        table.add_row(owner, str(count), f"{wei / ETHER:g}")
    table.add_row("together", "", f"{sum(wei for _, wei in earned.values()) / ETHER:g}")
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
