"""Each example plain and in a market: the same seed, data and rounds; the accuracy of both."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from omnilytics_flwr import Address, LocalMarket, Terms

from ..deployment.processes import ProcessError, Processes
from ..record import circumstances
from .examples import MARKET_PATCH, OWNERS, REPEAT_PATCH, Example
from .flower import inside, offline, run_app
from .patches import carry_out, plan
from .small_data import write_data

POINT = 0.01
JUDGE_SECONDS = 120.0
PACKAGES = ("flwr-datasets", "datasets", "scikit-learn", "jax", "flax", "optax")


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to: accuracy of the model it saved, and how long it took."""

    accuracy: float
    seconds: float


def compare(examples: Sequence[Example], source: Path, on_step: Callable[[str], None], *, projected: bool = False) -> dict[str, Any]:
    """The record of these examples from a checkout of Flower, in exact or projected markets."""
    facts = circumstances()
    facts["versions"] |= {package: metadata.version(package) for package in PACKAGES}
    with tempfile.TemporaryDirectory(prefix="omnilytics-plugin-") as folder:
        rows = [_compare_one(example, source, Path(folder) / example.name, on_step, projected) for example in examples]
    return {"run": "plugin", "projected": projected, **facts, "flower_commit": _commit(source), "examples": rows}


def broken_promises(result: dict[str, Any]) -> list[str]:
    """What should hold of a record and does not, as sentences."""
    broken = []
    for row in result["examples"]:
        accuracy = row["accuracy"]
        if abs(accuracy["market"] - accuracy["plain"]) > POINT:
            broken.append(
                f"{row['name']}: {accuracy['market']:.1%} in the market, {accuracy['plain']:.1%} plain; expected within {POINT:.0%}"
            )
        if 0 in row["paid"]:
            broken.append(f"{row['name']}: data owners paid by round are {row['paid']}; expected some in each")
    return broken


def _compare_one(example: Example, source: Path, folder: Path, on_step: Callable[[str], None], projected: bool) -> dict[str, Any]:
    on_step(f"{example.name}: plain")
    plain = run_example(example, source, folder / "plain", [REPEAT_PATCH])
    on_step(f"{example.name}: in a market")
    terms = partial(_projected, example) if projected else example.terms
    with LocalMarket(terms, num_owners=OWNERS) as market:
        traded = run_example(example, source, folder / "market", [REPEAT_PATCH, MARKET_PATCH], market.environment)
        paid = [market.ledger.paid_seats(number).bit_count() for number in range(1, example.rounds + 1)]
    return {
        "name": example.name,
        "example": example.folder,
        "owners": OWNERS,
        "rounds": example.rounds,
        "weights": example.weights,
        "run_config": dict(example.run_config),
        "accuracy": {"plain": plain.accuracy, "market": traded.accuracy},
        "seconds": {"plain": round(plain.seconds, 1), "market": round(traded.seconds, 1)},
        "paid": paid,
    }


def _projected(example: Example, verification: Address) -> Terms:
    return replace(example.terms(verification), projected=True)


def run_example(example: Example, source: Path, folder: Path, patches: Sequence[str], environment: dict[str, str] | None = None) -> Run:
    """Run a copy of an example with these patches on the small data."""
    app, work = folder / "app", folder / "work"
    shutil.copytree(source / "examples" / example.folder, app)
    for kind in patches:
        carry_out(plan(app, example.patch(kind)))
    work.mkdir()
    write_data(example.data, work)
    start = time.perf_counter()
    printed = run_app(app, work, supernodes=OWNERS, run_config=example.run_config, environment=environment or {})
    seconds = time.perf_counter() - start
    if not (work / example.model_file).exists():
        raise ProcessError(f"{example.name} saved no {example.model_file}; expected its model; its run printed last:\n{printed[-2000:]}")
    with Processes(work / "logs", offline(work)) as processes:
        command = [sys.executable, "-m", "runs.plugin.judge", example.name, str(app)]
        judged = processes.run("judge", inside(work, command), seconds=JUDGE_SECONDS)
    return Run(float(judged.split()[-1]), seconds)


def _commit(source: Path) -> str:
    done = subprocess.run(["git", "-C", str(source), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
