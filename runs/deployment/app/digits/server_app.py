"""The model owner's app: FedAvg, wrapped so that its rounds are a market's."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy

from omnilytics_flwr import Omnilytics, RoundReport, open_market

from .arrays import arrays_of, model_of
from .task import accuracy, initial_model, read_digits

TEST_VARIABLE = "DIGITS_TEST_DATA"
RECORDS_VARIABLE = "DIGITS_RECORDS"

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train in the market that the environment names, and write what came of it."""
    settings = context.run_config
    test = read_digits(Path(os.environ[TEST_VARIABLE]))
    accuracies: list[float] = []
    times: list[float] = []
    stages: list[tuple[float, int, str]] = []

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        accuracies.append(accuracy(model_of(arrays), test))
        times.append(time.time())
        return MetricRecord({"accuracy": accuracies[-1]})

    def on_stage(number: int, stage: str) -> None:
        stages.append((time.time(), number, stage))

    strategy: Strategy = FedAvg(fraction_evaluate=0.0)
    if settings["market"]:
        run_dir = Path(os.environ[RECORDS_VARIABLE]) / "run"
        strategy = Omnilytics(
            strategy,
            ledger=open_market(run_dir=run_dir),
            missing="accuse",
            run_config=settings,
            run_dir=run_dir,
            on_stage=on_stage,
        )
    begun = time.time()
    strategy.start(
        grid,
        arrays_of(initial_model(int(settings["seed"]))),
        num_rounds=int(settings["num-server-rounds"]),
        train_config=ConfigRecord(),
        evaluate_fn=evaluate,
    )
    reports = strategy.reports if isinstance(strategy, Omnilytics) else ()
    record = {
        "accuracies": accuracies,
        "times": times,
        "begun": begun,
        "ended": time.time(),
        "stages": stages,
        "rounds": [_plain(r) for r in reports],
    }
    name = "market.json" if settings["market"] else "plain.json"
    (Path(os.environ[RECORDS_VARIABLE]) / name).write_text(json.dumps(record, indent=1))


def _plain(report: RoundReport) -> dict[str, Any]:
    """A report as JSON: integers beyond 2^53 as text."""
    facts = asdict(report)
    facts["distances"] = [str(distance) for distance in report.distances]
    facts["receipts"] = [{"event": receipt.event, "gas_used": receipt.gas_used} for receipt in report.receipts]
    return facts
