"""A whole market in this process: strategy, grid, client apps with the mod, agents, proofs, and the market in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.serverapp.strategy import FedAvg, Strategy

from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.terms import Address
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.data_owner.owners import Owner, make_owners_scene
from tests.flower.fake_grid import FakeGrid, Tamper
from tests.flower.play import ModelMaker, Trainer, arrays_of, make_model, step_towards
from tests.support.builders import Scene, address_of

FIRST_NODE = 100
"""Node of data owner 0; the others follow."""

METRICS = ("loss", "num-examples")


@dataclass
class MarketPlay:
    """Everybody in a market."""

    scene: Scene
    owners: dict[int, Owner]
    trainers: dict[int, Trainer]
    grid: FakeGrid
    strategy: Omnilytics

    @property
    def reports(self) -> tuple[RoundReport, ...]:
        return self.strategy.reports

    def groups(self) -> list[tuple[int, ...]]:
        """Numbers of the data owners of each group."""
        return [self.scene.owners_of(1 << number) for number in range(len(self.scene.market.storage.groups))]

    def events(self, report: int) -> list[str]:
        """Transactions of a round."""
        return [receipt.event for receipt in self.reports[report].receipts]

    def expected(self, before: ArrayRecord, owners: tuple[Address, ...]) -> dict[str, np.ndarray]:
        """`before` plus the plain mean of these data owners' updates, in float64."""
        numbers = [number for number in self.owners if address_of(number) in owners]
        trained = [arrays_of(step_towards(self.trainers[number].target, before)) for number in numbers]
        return {name: np.mean([t[name] for t in trained], axis=0, dtype=np.float64) for name in before}


def make_play(
    folder: Path,
    *,
    inner: Strategy | None = None,
    num_owners: int = 15,
    on_request: Tamper | None = None,
    on_reply: Tamper | None = None,
    initial_model: ModelMaker | None = None,
    options: dict[str, object] | None = None,
    **term_changes: object,
) -> MarketPlay:
    """A drawn market with a node for each data owner; `options` are those of `Omnilytics`."""
    scene, owners = make_owners_scene(folder, num_owners=num_owners, **({"metrics": METRICS} | term_changes))  # type: ignore[arg-type]
    agents = {number: owner.agent() for number, owner in owners.items()}
    mod = OmnilyticsMod(initial_model=initial_model, agent=lambda context: agents[number_of(context)])
    trainers = {
        number: Trainer(make_model(100 + number), metrics={"loss": float(number), "num-examples": 10, "secret": 7.5}) for number in owners
    }
    apps = {FIRST_NODE + number: trainer.app(mod) for number, trainer in trainers.items()}
    grid = FakeGrid(apps, on_request=on_request, on_reply=on_reply)
    strategy = Omnilytics(inner or FedAvg(), ledger=scene.ledger(), **({"wait": waiter(scene)} | (options or {})))  # type: ignore[arg-type]
    return MarketPlay(scene, owners, trainers, grid, strategy)


def waiter(scene: Scene) -> Callable[[float], None]:
    """Lets time pass on the chain in memory instead of sleeping."""
    return lambda seconds: scene.world.wait(math.ceil(seconds))


def number_of(context: Context) -> int:
    """Number of a client's data owner."""
    return int(context.node_config["partition-id"])


def assert_close(actual: ArrayRecord, expected: dict[str, np.ndarray], steps: float = 1.0) -> None:
    """Equal up to stochastic rounding: each update is off by less than a step of 1 / (2^15 - 1), so is their mean."""
    assert list(actual) == list(expected)
    for name, array in arrays_of(actual).items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=steps / (2**15 - 1) + 1e-6)
