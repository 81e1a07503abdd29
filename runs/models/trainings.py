"""The trainings of one model: plain FedAvg without an attacker, and markets with one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy
from torch import nn

from omnilytics_flwr import Address, ChainLimits, LocalMarket, Omnilytics, RoundReport
from omnilytics_flwr.market.public_part import select_private
from omnilytics_flwr.simulation import simulate

from ..mnist.model import accuracy, train
from ..spending import measured, noted
from .app import METRICS, client_app, model_arrays, shares_of
from .networks import NETWORKS, made
from .recipe import Recipe

WORKERS = 2
"""Clients at work at a time."""

Verification = Literal["exact", "projected", "computed"]
Work = dict[str, object]


@dataclass(slots=True)
class Trained:
    """What a training came to.

    Attributes
    ----------
    accuracies : list of float
        On the test digits, before the first round and after each.
    server : dict of str to float
        What the server's process spent in all rounds, as `spending.measured` tells.
    messages : list of dict
        A line for each message that a client answered.
    reports, owners, work : tuple
        In a market: its rounds, who is who, and the lines of all agents' work.
    """

    accuracies: list[float] = field(default_factory=list)
    server: dict[str, float] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    reports: tuple[RoundReport, ...] = ()
    owners: tuple[Address, ...] = ()
    work: tuple[Work, ...] = ()


def starting_model(recipe: Recipe, name: str) -> nn.Module:
    """The model owner's model before the first round: trained on its own few digits."""
    return _pretrained(recipe, name, made(NETWORKS[name], recipe.seed), epochs=recipe.training(name).pretrain_epochs)


def train_plain(recipe: Recipe, name: str, start: nn.Module, *, on_round: Callable[[str], None]) -> Trained:
    """Train with Flower's FedAvg, nobody poisoning; what the patterns name private stays out, as nobody trains it."""
    whole = model_arrays(start)
    private = select_private(whole, NETWORKS[name].private)
    public = ArrayRecord({key: array for key, array in whole.items() if key not in private})
    with tempfile.TemporaryDirectory() as folder:
        spent, trained = Path(folder) / "spent", Trained()
        server = _server_app(recipe, name, _fedavg(recipe), public, trained, on_round)
        simulate(server, client_app(recipe, name, market=False, spent=spent), recipe.owners, workers=WORKERS)
        trained.messages = noted(spent)
    return trained


def train_in_market(recipe: Recipe, name: str, start: nn.Module, verification: Verification, *, on_round: Callable[[str], None]) -> Trained:
    """Train in a market of this model, in which the recipe's attackers poison; its terms follow from a round of the model owner's own."""
    arrays, private, training = model_arrays(start), NETWORKS[name].private, recipe.training(name)
    as_long = training.local_epochs * training.samples // recipe.model_owner_samples  # as many steps as a data owner takes
    trained = Trained()
    with (
        LocalMarket.for_model(
            arrays,
            num_owners=recipe.owners,
            private=private,
            trained=model_arrays(_pretrained(recipe, name, start, epochs=max(as_long, 1))),
            rounds=training.rounds,
            verification=verification,
            metrics=METRICS,
            limits=ChainLimits() if training.accusations else ChainLimits(blobs=0),
        ) as market,
        tempfile.TemporaryDirectory() as folder,
    ):
        strategy = Omnilytics(_fedavg(recipe), ledger=market.ledger, private=private)
        server = _server_app(recipe, name, strategy, arrays, trained, on_round)
        spent = Path(folder) / "spent"
        market.run(server, client_app(recipe, name, market=True, spent=spent), workers=WORKERS)
        trained.messages = noted(spent)
        trained.reports, trained.owners = strategy.reports, market.owners
        trained.work = tuple(line for home in market.homes for line in home.work())
    return trained


def _pretrained(recipe: Recipe, name: str, start: nn.Module, *, epochs: int) -> nn.Module:
    model, settings, share = made(NETWORKS[name], recipe.seed), recipe.training(name), shares_of(recipe, name).model_owner
    model.load_state_dict(start.state_dict())
    order = torch.Generator().manual_seed(recipe.seed)
    how: dict[str, Any] = {"epochs": epochs, "lr": settings.learning_rate, "batch_size": settings.batch_size, "generator": order}
    train(model, share.images, share.labels, **how)
    return model


def _fedavg(recipe: Recipe) -> FedAvg:
    return FedAvg(fraction_evaluate=0.0, min_train_nodes=recipe.owners, min_available_nodes=recipe.owners)


def _server_app(
    recipe: Recipe, name: str, strategy: Strategy, start: ArrayRecord, trained: Trained, on_round: Callable[[str], None]
) -> ServerApp:
    app, test = ServerApp(), shares_of(recipe, name).test

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        model = made(NETWORKS[name], recipe.seed)
        model.load_state_dict(arrays.to_torch_state_dict(), strict=False)
        trained.accuracies.append(accuracy(model, test.images, test.labels))
        on_round(f"round {server_round}: accuracy {trained.accuracies[-1]:.1%}")
        return MetricRecord({"accuracy": trained.accuracies[-1]})

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        with measured() as trained.server:
            strategy.start(
                grid, start, num_rounds=recipe.training(name).rounds, train_config=ConfigRecord(), evaluate_fn=evaluate, timeout=3600
            )

    return app
