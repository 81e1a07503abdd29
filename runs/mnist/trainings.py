"""The three trainings of a run: in the market, plain Flower FedAvg, and plain FedAvg with the attacker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy

from omnilytics_flwr import LocalMarket, Omnilytics, RoundReport
from omnilytics_flwr.simulation import simulate

from .app import client_app, load_model, market_mod, model_arrays
from .data import Digits, load
from .model import PRIVATE, Net, accuracy, fit_private, initial_model, pretrain
from .recipe import Recipe

WORKERS = 2
"""Clients at work at a time; the machine's cores, for the figures to be comparable."""

OnAccuracy = Callable[[int, float], None]


@dataclass(slots=True)
class Training:
    """What a training came to.

    Attributes
    ----------
    accuracies : list of float
        On the test digits, before the first round and after each.
    seconds : float
        Of the strategy's `start` alone.
    model : Net or None
    client_seconds : float
        That data owners spent in the train function, added up over all of them.
    stages : list of (float, int, str)
        In the market: when each stage of each round began, seconds since the start.
    reports : tuple of RoundReport
        In the market: what each round came to.
    """

    accuracies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    model: Net | None = None
    client_seconds: float = 0.0
    stages: list[tuple[float, int, str]] = field(default_factory=list)
    reports: tuple[RoundReport, ...] = ()


def pretrained(recipe: Recipe) -> Net:
    """The model owner's model before the first round: trained on its own few digits."""
    digits = load(recipe)
    model = initial_model(recipe.seed)
    chosen = torch.from_numpy(digits.model_owner)
    settings = recipe.training
    generator = torch.Generator().manual_seed(recipe.seed)
    pretrain(
        model,
        digits.images[chosen],
        digits.labels[chosen],
        epochs=settings.pretrain_epochs,
        lr=settings.pretrain_learning_rate,
        generator=generator,
    )
    return model


def train_in_market(
    recipe: Recipe,
    market: LocalMarket,
    start: Net,
    *,
    on_stage: Callable[[int, str], None],
    on_round: Callable[[RoundReport], None],
    on_accuracy: OnAccuracy,
) -> Training:
    """Train the public part in the market, re-fitting the private part after each round."""
    digits, training = load(recipe), Training()
    chosen = torch.from_numpy(digits.model_owner)
    begun = time.perf_counter()

    def refit(server_round: int, arrays: ArrayRecord) -> ArrayRecord:
        model = load_model(arrays)
        fit_private(
            model,
            digits.images[chosen],
            digits.labels[chosen],
            epochs=recipe.training.refit_epochs,
            lr=recipe.training.refit_learning_rate,
            generator=torch.Generator().manual_seed(recipe.seed + server_round),
        )
        return model_arrays(model)

    def note_stage(number: int, stage: str) -> None:
        training.stages.append((time.perf_counter() - begun, number, stage))
        on_stage(number, stage)

    strategy = Omnilytics(_fedavg(recipe), ledger=market.ledger, private=PRIVATE, refit=refit, on_stage=note_stage, on_round=on_round)
    server = _server_app(recipe, strategy, start, digits, training, on_accuracy)
    begun = time.perf_counter()
    market.run(server, client_app(recipe, mods=[market_mod(recipe)], attacked=True), workers=WORKERS)
    training.reports = strategy.reports
    return training


def train_plain(recipe: Recipe, start: Net, *, attacked: bool, on_accuracy: OnAccuracy) -> Training:
    """Train the whole model with Flower's FedAvg, without a market."""
    digits, training = load(recipe), Training()
    server = _server_app(recipe, _fedavg(recipe), start, digits, training, on_accuracy)
    app = client_app(recipe, attacked=attacked)
    simulate(server, app, recipe.data.owners, workers=WORKERS)
    return training


def public_part_alone(recipe: Recipe, model: Net) -> float:
    """Accuracy of the public part with the private part as everybody starts it: what a stranger could have."""
    digits, joined = load(recipe), initial_model(recipe.seed)
    private = {name: value for name, value in joined.state_dict().items() if name.split(".")[0] == "conv1"}
    joined.load_state_dict({**model.state_dict(), **private})
    return accuracy(joined, digits.test_images, digits.test_labels)


def _fedavg(recipe: Recipe) -> FedAvg:
    owners = recipe.data.owners
    return FedAvg(fraction_evaluate=0.0, min_train_nodes=owners, min_available_nodes=owners)


def _server_app(recipe: Recipe, strategy: Strategy, start: Net, digits: Digits, training: Training, on_accuracy: OnAccuracy) -> ServerApp:
    app = ServerApp()

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        found = accuracy(load_model(arrays), digits.test_images, digits.test_labels)
        training.accuracies.append(found)
        on_accuracy(server_round, found)
        return MetricRecord({"accuracy": found})

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        begun = time.perf_counter()
        result: Any = strategy.start(
            grid,
            model_arrays(start),
            num_rounds=recipe.training.rounds,
            train_config=ConfigRecord(),
            evaluate_fn=evaluate,
        )
        training.seconds = time.perf_counter() - begun
        training.model = load_model(result.arrays)
        # FedAvg averages the clients' seconds, weighted by examples in plain Flower and equally in the market.
        mean_seconds = [float(record["train-seconds"]) for record in result.train_metrics_clientapp.values()]
        training.client_seconds = recipe.data.owners * sum(mean_seconds)

    return app
