"""A market that rounds nothing: what is left of `Omnilytics` is what Flower's strategies must agree with.

Data owners hand their updates over as float64, and the "keeper" takes the plain mean; strategy, look-ahead, mod and grid are the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp.strategy import Result, Strategy
from numpy.typing import NDArray

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.local_agent import Admission, Delivery, SignedCommitment
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.market.terms import Address, Terms
from omnilytics_flwr.model_owner.live_round import Metrics
from omnilytics_flwr.model_owner.run_directory import Record
from tests.data_owner.owners import WEIGHTS
from tests.flower.fake_grid import FakeGrid
from tests.flower.play import Trainer, make_model
from tests.support.builders import Scene, address_of, make_scene

METRICS = ("loss", "num-examples")


@dataclass
class ExactAgent:
    """An owner agent without a market."""

    owner: Address
    terms: Terms
    update: bytes = b""

    def admit(self, task: TaskId) -> Admission:
        return Admission(self.terms.metrics, None)

    def admit_evaluation(self, task: TaskId) -> tuple[str, ...]:
        return self.terms.metrics

    def commit(self, task: TaskId, update: NDArray[np.float64]) -> SignedCommitment:
        self.update = update.tobytes()
        return SignedCommitment(self.owner, keccak256(self.update), bytes(64))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        return Delivery(self.owner, self.update, b"", self.terms.metrics)


@dataclass
class ExactProven:
    mean: NDArray[np.float64]


@dataclass
class ExactKeeper:
    """What `Omnilytics` asks of its keeper, with the plain mean of all updates; anchored tasks are checked as the market does."""

    scene: Scene
    live: TaskId | None = None
    is_open: bool = False
    committed: list[Address] = field(default_factory=list)
    updates: dict[Address, NDArray[np.float64]] = field(default_factory=dict)
    held: dict[Address, Metrics] = field(default_factory=dict)

    @property
    def ledger(self) -> object:
        return self.scene.ledger()

    @property
    def terms(self) -> Terms:
        return self.scene.terms

    @property
    def is_live(self) -> bool:
        return self.live is not None

    @property
    def task(self) -> TaskId:
        assert self.live is not None
        return self.live

    def anchored(self, parts: TaskParts) -> TaskId | None:
        if self.live is None or parts.task_hash(self.live.round) != self.live.task_hash:
            return None
        return self.live

    def anchor(self, parts: TaskParts) -> TaskId:
        if self.anchored(parts) is None:
            self._anchor(parts)
        return self.task

    def add_commitment(self, owner: Address, digest: bytes, signature: bytes, round_number: int | None = None) -> None:
        self.committed.append(owner)

    def open(self) -> tuple[bytes, ...]:
        self.is_open = True
        return ()

    def catch_up(self) -> None:
        return

    def booked(self) -> None:
        return

    def state(self) -> MarketState:
        return self.scene.state

    def commit_seconds(self) -> float:
        return 3600.0

    def deliver_seconds(self) -> float:
        return 3600.0

    def digests(self) -> tuple[bytes, ...]:
        return ()

    def missing_owners(self) -> tuple[Address, ...]:
        return tuple(owner for owner in self.committed if owner not in self.updates)

    def metrics(self) -> tuple[Metrics, ...]:
        return tuple(self.held[owner] for owner in self.committed)

    def add_delivery(self, owner: Address, vector: bytes, points: bytes, metrics: Metrics) -> None:
        self.updates[owner] = np.frombuffer(vector)
        self.held[owner] = metrics

    def prove(self) -> ExactProven:
        return ExactProven(np.mean([self.updates[owner] for owner in self.committed], axis=0))

    def settle(self, proven: ExactProven, following: TaskParts | None, outcome: Record | None = None) -> None:
        self.committed, self.updates, self.held, self.is_open = [], {}, {}, False
        assert following is not None
        self._anchor(following)

    def _anchor(self, parts: TaskParts) -> None:
        number = 1 if self.live is None else self.live.round + 1
        self.live = TaskId(self.scene.world.chain_id, self.scene.market.address, 1, number, parts.task_hash(number))


def make_trainers(num_owners: int, dtype: str) -> list[Trainer]:
    """Data owners that pull in different directions; all have the same number of examples."""
    return [Trainer(make_model(100 + number, dtype), metrics={"loss": 0.1 * number, "num-examples": 10}) for number in range(num_owners)]


def history(strategy: Strategy, grid: FakeGrid, rounds: int, dtype: str) -> tuple[list[ArrayRecord], Result]:
    """The model before the first round and after each, and Flower's own result."""
    seen: list[ArrayRecord] = []

    def watch(number: int, arrays: ArrayRecord) -> MetricRecord:
        seen.append(arrays)
        return MetricRecord({"round": number})

    return seen, strategy.start(grid, make_model(0, dtype), rounds, evaluate_fn=watch)


def plain_grid(inner: Strategy, *, num_owners: int = 3, dtype: str = "float32") -> tuple[FakeGrid, Strategy]:
    """Nodes and strategy of Flower's own run."""
    apps = {10 + place: trainer.app(None) for place, trainer in enumerate(make_trainers(num_owners, dtype))}
    return FakeGrid(apps), inner


def exact_grid(inner: Strategy, *, num_owners: int = 3, dtype: str = "float32") -> tuple[FakeGrid, Omnilytics]:
    """The same nodes with the mod, and the strategy in an unquantised market."""
    scene = make_scene(num_owners, weights=WEIGHTS, metrics=METRICS)
    agents: Mapping[int, ExactAgent] = {n: ExactAgent(address_of(n), scene.terms) for n in range(num_owners)}

    def agent(context: Context) -> ExactAgent:
        return agents[int(context.node_config["partition-id"])]

    mod = OmnilyticsMod(agent=agent)
    apps = {10 + place: trainer.app(mod) for place, trainer in enumerate(make_trainers(num_owners, dtype))}
    strategy = Omnilytics(inner, ledger=scene.ledger())
    keeper = ExactKeeper(scene)
    strategy._keeper = strategy._exchanges._keeper = strategy._learner._keeper = keeper  # type: ignore[assignment]
    return FakeGrid(apps), strategy


def plain_history(inner: Strategy, *, num_owners: int, rounds: int, dtype: str) -> tuple[list[ArrayRecord], Result]:
    """Flower's own run."""
    grid, strategy = plain_grid(inner, num_owners=num_owners, dtype=dtype)
    return history(strategy, grid, rounds, dtype)


def exact_history(inner: Strategy, *, num_owners: int, rounds: int, dtype: str) -> tuple[list[ArrayRecord], Result]:
    """The same run through `Omnilytics`, unquantised."""
    grid, strategy = exact_grid(inner, num_owners=num_owners, dtype=dtype)
    return history(strategy, grid, rounds, dtype)
