"""Each example plain, and in markets of two verifications: the same seed, data and rounds; the accuracy of all."""

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
VERIFICATIONS = ("exact", "projected")
JUDGE_SECONDS = 120.0
PACKAGES = ("flwr-datasets", "datasets", "scikit-learn", "jax", "flax", "optax")


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to: accuracy of the model it saved, and how long it took."""

    accuracy: float
    seconds: float


def compare(examples: Sequence[Example], source: Path, on_step: Callable[[str], None]) -> dict[str, Any]:
    """The record of these examples from a checkout of Flower."""
    facts = circumstances()
    facts["versions"] |= {package: metadata.version(package) for package in PACKAGES}
    with tempfile.TemporaryDirectory(prefix="omnilytics-plugin-") as folder:
        rows = [_compare_one(example, source, Path(folder) / example.name, on_step) for example in examples]
    return {"run": "plugin", **facts, "flower_commit": _commit(source), "examples": rows}


def broken_promises(result: dict[str, Any]) -> list[str]:
    """What should hold of a record and does not, as sentences."""
    broken = []
    for row in result["examples"]:
        plain = row["accuracy"]["plain"]
        for verification in VERIFICATIONS:
            reached, paid = row["accuracy"][verification], row["paid"][verification]
            market = f"{row['name']}, {verification}"
            if reached < plain - POINT:
                broken.append(f"{market}: {reached:.1%} in the market, {plain:.1%} plain; expected at most {100 * POINT:g} point less")
            if 0 in paid:
                broken.append(f"{market}: data owners paid by round are {paid}; expected some in each")
    return broken


def _compare_one(example: Example, source: Path, folder: Path, on_step: Callable[[str], None]) -> dict[str, Any]:
    on_step(f"{example.name}: plain")
    runs, paid = {"plain": run_example(example, source, folder / "plain", [REPEAT_PATCH])}, {}
    for verification in VERIFICATIONS:
        on_step(f"{example.name}: in a market, {verification}")
        with LocalMarket(partial(_terms, example, verification), num_owners=OWNERS) as market:
            patches = [REPEAT_PATCH, MARKET_PATCH]
            runs[verification] = run_example(example, source, folder / verification, patches, market.environment)
            paid[verification] = [market.ledger.paid_seats(number).bit_count() for number in range(1, example.rounds + 1)]
    return {
        "name": example.name,
        "example": example.folder,
        "owners": OWNERS,
        "rounds": example.rounds,
        "weights": example.weights,
        "run_config": dict(example.run_config),
        "accuracy": {name: run.accuracy for name, run in runs.items()},
        "seconds": {name: round(run.seconds, 1) for name, run in runs.items()},
        "paid": paid,
    }


def _terms(example: Example, name: str, verification: Address) -> Terms:
    return replace(example.terms(verification), projected=name == "projected")


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
