"""``python -m runs.server``: what a round costs the model owner's process, fed with deliveries that real data owners made beforehand."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

from omnilytics_flwr import Address, LocalMarket, Terms
from omnilytics_flwr.market.task import TaskParts
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from omnilytics_flwr.model_owner.run_directory import RunDirectory

from ..recipes import read_recipe
from ..record import circumstances, new_folder, point_latest, write_json
from ..screen import new_console, told
from ..spending import MIB, measured
from .party import commit, deliver
from .tables import table_of_servers

HERE = Path(__file__).parent
CLIP = 1.0
"""Largest change of a weight."""


@dataclass(frozen=True, slots=True)
class Size:
    """A round to measure."""

    weights: int
    owners: int
    group_size: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """The rounds, and what their markets have in common; ``config.toml`` says what each key is."""

    seed: int
    accusations: bool
    rounds: tuple[Size, ...]


@dataclass(slots=True)
class Meter:
    """Seconds of this process and their CPU seconds, of all threads."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def measure(self, work: Callable[[], Any]) -> Any:
        """Do and measure some work."""
        began, cpu = time.perf_counter(), time.process_time()
        done = work()
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - cpu
        return done


def main() -> int:
    """Run and write the record."""
    parser = argparse.ArgumentParser(prog="python -m runs.server", description=__doc__)
    parser.add_argument("--only", type=int, metavar="WEIGHTS", help="the rounds with so many weights alone")
    arguments = parser.parse_args()
    return told(lambda: _run(arguments.only))


def _run(only: int | None) -> int:
    console, recipe = new_console(), read_recipe(Recipe, HERE / "config.toml")
    folder, rows = new_folder(HERE), []
    for size in (size for size in recipe.rounds if only in (None, size.weights)):
        console.print(f"{size.weights:,} weights, {size.owners} data owners")
        rows.append(row_of(size, seed=recipe.seed, accusations=recipe.accusations))
    write_json(folder / "result.json", {"run": "server", "seed": recipe.seed, **circumstances(), "rounds": rows})
    point_latest(folder)
    console.print(table_of_servers(rows))
    console.print(f"record {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    return 0


def row_of(size: Size, *, seed: int, accusations: bool) -> dict[str, Any]:
    """One round: what the model owner's process did, and what its memory rose to above what it held before."""

    def terms(contract: Address) -> Terms:
        usual = Terms.for_model(
            size.weights,
            verification=contract,
            owners=size.owners,
            group_size=size.group_size,
            clip=CLIP,
            longest_mean=1e4,
            rounds=1,
            projected=True,
        )
        return replace(usual, draw_delay_blocks=2, answer_seconds=usual.answer_seconds if accusations else 0)

    with LocalMarket(terms, num_owners=size.owners) as market, tempfile.TemporaryDirectory(prefix="omnilytics-server-") as name:
        folder, homes = Path(name), [home.path for home in market.homes]
        keeper, meter = RoundKeeper(market.ledger, directory=RunDirectory(folder / "run")), Meter()
        task = meter.measure(lambda: keeper.anchor(TaskParts(bytes([1]) * 32, bytes(32), bytes(32), bytes(32))))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # of its own: this process's memory is the model owner's
            many = range(size.owners)
            for signed in list(pool.map(commit, homes, repeat(task), repeat(size.weights), [[seed, n] for n in many])):
                meter.measure(lambda: keeper.add_commitment(signed.owner, signed.digest, signed.signature))  # noqa: B023
            digests = meter.measure(keeper.open)
            made = list(pool.map(deliver, homes, repeat(task), repeat(digests), [folder / f"{n}.vector" for n in many]))
        with measured() as spent:
            for n, one in enumerate(made):
                vector = (folder / f"{n}.vector").read_bytes()
                meter.measure(lambda: keeper.add_delivery(one.owner, vector, one.points, one.projected, one.signature))  # noqa: B023
                vector = b""
            decision = meter.measure(keeper.prove)
            report = meter.measure(lambda: keeper.settle(decision, None))
        return {
            "weights": size.weights,
            "owners": size.owners,
            "groups_accepted": len(report.accepted),
            "seconds": meter.seconds,
            "cpu_seconds": meter.cpu_seconds,
            "peak_mib": spent["mib"],
            "delivery_mib": os.path.getsize(folder / "0.vector") / MIB,
            "steps": report.seconds,
        }


if __name__ == "__main__":
    sys.exit(main())
