"""Whole markets with Flower's nodes in one process: in memory, on a local chain, and one that rounds nothing."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp.strategy import FedAvg, Result, Strategy
from numpy.typing import NDArray

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.owner_agent import Admission, MaskedUpdate, SignedCommitment
from omnilytics_flwr.data_owner.owner_keys import OwnerKeys
from omnilytics_flwr.evm.anvil import AnvilOptions
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.local_market import LocalMarket
from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.market.market_view import MarketState, Member
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.market.terms import Address, Terms
from omnilytics_flwr.model_owner.clipping import Clipped
from omnilytics_flwr.model_owner.live_round import Delivered, LiveRound, Metrics, Signed
from omnilytics_flwr.model_owner.round_report import RoundReport
from omnilytics_flwr.model_owner.run_directory import Record
from tests.data_owner.owners import WEIGHTS, Owner, make_owners_scene
from tests.flower.clients import FakeGrid, ModelMaker, Tamper, Trainer, arrays_of, make_model, step_towards
from tests.support.builders import Scene, address_of, make_scene, make_terms

FIRST_NODE = 100
"""Node of data owner 0; the others follow."""

METRICS = ("loss", "num-examples")
NUM_OWNERS = 15
REWARD_WEI = 1_000
NO_TASK = TaskId(1, "0x" + 40 * "0", 1, 1, bytes(32))


@dataclass
class MemoryRun:
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

    def position_of(self, number: int) -> int:
        """Roster position of a data owner's group in the first round."""
        return next(place for place, group in enumerate(self.reports[0].roster) if address_of(number) in group)

    def expected(self, before: ArrayRecord, owners: tuple[Address, ...]) -> dict[str, np.ndarray]:
        """`before` plus the plain mean of these data owners' updates, in float64."""
        numbers = [number for number in self.owners if address_of(number) in owners]
        trained = [arrays_of(step_towards(self.trainers[number].target, before)) for number in numbers]
        return {name: np.mean([t[name] for t in trained], axis=0, dtype=np.float64) for name in before}


def memory_run(
    folder: Path,
    *,
    inner: Strategy | None = None,
    num_owners: int = 15,
    on_request: Tamper | None = None,
    on_reply: Tamper | None = None,
    initial_model: ModelMaker | None = None,
    options: dict[str, object] | None = None,
    **term_changes: object,
) -> MemoryRun:
    """A drawn market with a node for each data owner; `options` are those of `Omnilytics`."""
    scene, owners = make_owners_scene(folder, num_owners=num_owners, **({"metrics": METRICS} | term_changes))  # type: ignore[arg-type]
    trainers = {
        number: Trainer(make_model(100 + number), metrics={"loss": float(number), "num-examples": 10, "secret": 7.5}) for number in owners
    }
    for owner in owners.values():
        owner.keys.rounding_key(NO_TASK)  # makes the secret that updates are rounded by, for a run that is set back
    agents = [owner.agent() for owner in owners.values()]
    grid = nodes(agents, trainers.values(), initial_model=initial_model, on_request=on_request, on_reply=on_reply)
    strategy = Omnilytics(inner or FedAvg(), ledger=scene.ledger(), **({"wait": waiter(scene)} | (options or {})))  # type: ignore[arg-type]
    return MemoryRun(scene, owners, trainers, grid, strategy)


def accepted_owners(report: RoundReport) -> tuple[Address, ...]:
    """Members of the accepted groups."""
    return tuple(owner for position in report.accepted for owner in report.roster[position])


def copy_folder(source: Path, to: Path) -> None:
    """Make `to` a copy of a folder, in place of what is there."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(source, to)


def waiter(scene: Scene) -> Callable[[float], None]:
    """Lets time pass on the chain in memory instead of sleeping."""
    return lambda seconds: scene.world.wait(math.ceil(seconds))


def nodes(
    agents: Sequence[Any], trainers: Iterable[Trainer], *, initial_model: ModelMaker | None = None, **tampering: Tamper | None
) -> FakeGrid:
    """A node for each data owner, from `FIRST_NODE` on, whose mod asks its agent."""
    mod = OmnilyticsMod(initial_model=initial_model, agent=lambda context: agents[number_of(context)])
    return FakeGrid({FIRST_NODE + number: trainer.app(mod) for number, trainer in enumerate(trainers)}, **tampering)


def number_of(context: Context) -> int:
    """Number of a client's data owner."""
    return int(context.node_config["partition-id"])


def assert_close(actual: ArrayRecord, expected: dict[str, np.ndarray], steps: float = 1.0) -> None:
    """Equal up to stochastic rounding: each update is off by less than a step of 1 / (2^15 - 1), so is their mean."""
    assert list(actual) == list(expected)
    for name, array in arrays_of(actual).items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=steps / (2**15 - 1) + 1e-6)


@dataclass
class ChainRun:
    """A market that can be set back to its beginning, with the data owners' homes."""

    market: LocalMarket
    folder: Path
    kept: Path
    snapshot: str = ""
    trainers: list[Trainer] = field(default_factory=list)

    @property
    def state(self) -> MarketState:
        return self.market.ledger.state()

    def rewind(self) -> None:
        """Set chain and homes back."""
        self.market.anvil.revert(self.snapshot)
        self.snapshot = self.market.anvil.snapshot()
        copy_folder(self.kept, self.folder)

    def grid(self) -> FakeGrid:
        """Nodes that have just started."""
        self.trainers = [Trainer(make_model(100 + place)) for place in range(NUM_OWNERS)]
        agents = [home.agent_for(ledger) for home, ledger in zip(self.market.homes, self.market.owner_ledgers(), strict=True)]
        return nodes(agents, self.trainers)

    def start(
        self, grid: FakeGrid, *, ledger: ModelOwnerLedger | None = None, rounds: int = 2, **options: Any
    ) -> tuple[Result, Omnilytics]:
        """A model owner's process."""
        strategy = Omnilytics(FedAvg(), ledger=ledger or self.market.ledger, wait=self.wait, **options)
        return strategy.start(grid, make_model(), rounds), strategy

    def wait(self, seconds: float) -> None:
        """Let time pass on the chain."""
        self.market.anvil.increase_time(math.ceil(seconds))

    def surplus_wei(self) -> int:
        """What the market holds beyond what it owes."""
        s = self.state
        owed_wei = s.escrow_wei + s.bond_wei + s.stakes_wei + s.owed_wei + s.credits_wei + s.disputes_wei
        return self.market.ledger.connection.balance_wei(self.market.ledger.address) - owed_wei

    def claimable_wei(self) -> int:
        """What all data owners could claim now."""
        return sum(self.market.ledger.claimable_wei(owner) for owner in self.market.owners)


@contextmanager
def chain_run(folder: Path, *, chain: AnvilOptions | None = None, computed: bool = False, **term_changes: object) -> Iterator[ChainRun]:
    """A drawn market on a chain of its own, some blocks after the draw."""
    homes = folder / "homes"
    values = {"weights": 42, "update_bits": 16, "norm_bound": 2**60, "metrics": ("loss",), "commit_seconds": 3600, "reward_wei": REWARD_WEI}

    def terms(verification: Address) -> Terms:
        return make_terms(verification=verification, **(values | term_changes))

    with LocalMarket(terms, num_owners=NUM_OWNERS, computed=computed, escrow_wei=200_000, folder=homes, chain=chain) as market:
        for home, ledger in zip(market.homes, market.owner_ledgers(), strict=True):
            home.agent_for(ledger)
            OwnerKeys(home.path / "keys").rounding_key(NO_TASK)
        market.anvil.mine(4)
        copy_folder(homes, folder / "kept")
        yield ChainRun(market, homes, folder / "kept", market.anvil.snapshot())


@dataclass
class ExactAgent:
    """An owner agent without a market."""

    owner: Address
    terms: Terms
    update: bytes = b""
    held: dict[str, bytes] = field(default_factory=dict)

    def keep(self, chain_id: int, market: Address, name: str, content: bytes) -> None:
        self.held[name] = content

    def kept(self, chain_id: int, market: Address, name: str) -> bytes:
        return self.held.get(name, b"")

    def admit(self, task: TaskId) -> Admission:
        return Admission(self.terms.metrics, None)

    def admit_evaluation(self, task: TaskId) -> tuple[str, ...]:
        return self.terms.metrics

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        self.update = np.asarray(update, np.float64).tobytes()
        return SignedCommitment(self.owner, keccak256(self.update), bytes(64))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        return MaskedUpdate(self.owner, self.update, b"", metrics=self.terms.metrics)


@dataclass
class ExactProven:
    mean: NDArray[np.float64]
    cut: Clipped = field(default_factory=Clipped)


@dataclass
class ExactKeeper:
    """What `Omnilytics` asks of its keeper, with the plain mean of all updates; anchored tasks are checked as the market does."""

    ledger: ModelOwnerLedger
    terms: Terms
    live: LiveRound | None = None
    reports: tuple[RoundReport, ...] = ()
    vectors: dict[Address, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        return self.live is not None

    @property
    def is_open(self) -> bool:
        return self.live is not None and self.live.opened

    def anchored(self, parts: TaskParts) -> TaskId | None:
        return self.live.task if self.live and parts.task_hash(self.live.task.round) == self.live.task.task_hash else None

    def anchor(self, parts: TaskParts) -> TaskId:
        return self.anchored(parts) or self._anchor(parts)

    def add_commitment(self, owner: Address, digest: bytes, signature: bytes, round_number: int | None = None) -> None:
        assert self.live is not None
        self.live.commitments[owner] = Signed(digest, signature)

    def open(self) -> None:
        assert self.live is not None
        members = (Member(owner, seat, b"") for seat, owner in enumerate(self.live.commitments))
        self.live.groups, self.live.roster, self.live.opened = (tuple(members),), (0,), True

    def catch_up(self) -> None:
        return

    booked = catch_up

    def state(self) -> MarketState:
        return self.ledger.state()

    def commit_seconds(self) -> float:
        return 3600.0

    deliver_seconds = commit_seconds

    def may_open(self, *, grace_over: bool, timed_out: bool) -> bool:
        return True

    def expected_owners(self) -> int:
        return 0

    def settle_seconds(self) -> float:
        return 3600.0

    def may_prove(self, *, grace_over: bool, timed_out: bool, early: bool) -> bool:
        assert self.live is not None
        return not self.live.missing()

    def add_delivery(self, owner: Address, vector: bytes, points: bytes, projected: bytes, signature: bytes, metrics: Metrics) -> None:
        assert self.live is not None
        self.live.deliveries[owner] = Delivered(points, metrics=metrics)
        self.vectors[owner] = np.frombuffer(vector)

    def prove(self) -> ExactProven:
        assert self.live is not None
        return ExactProven(np.mean([self.vectors[owner] for owner in self.live.deliveries], axis=0))

    def settle(self, proven: ExactProven, following: TaskParts | None, outcome: Record | None = None) -> None:
        assert following is not None
        self._anchor(following)

    def _anchor(self, parts: TaskParts) -> TaskId:
        number = 1 if self.live is None else self.live.task.round + 1
        self.live = LiveRound(TaskId(self.ledger.chain_id, self.ledger.address, 1, number, parts.task_hash(number)), 0, ())
        return self.live.task


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
    trainers = make_trainers(num_owners, dtype)
    return FakeGrid({FIRST_NODE + place: trainer.app(None) for place, trainer in enumerate(trainers)}), inner


def exact_grid(inner: Strategy, *, num_owners: int = 3, dtype: str = "float32", **options: Any) -> tuple[FakeGrid, Omnilytics]:
    """The same nodes with the mod, and the strategy in an unquantised market."""
    scene = make_scene(num_owners, weights=WEIGHTS, metrics=METRICS)
    strategy = Omnilytics(inner, ledger=scene.ledger(), **options)
    keeper = ExactKeeper(scene.ledger(), scene.terms)
    strategy._keeper = strategy._exchanges._keeper = strategy._learner._keeper = keeper  # type: ignore[assignment]
    agents = [ExactAgent(address_of(number), scene.terms) for number in range(num_owners)]
    return nodes(agents, make_trainers(num_owners, dtype)), strategy


def plain_history(inner: Strategy, *, num_owners: int, rounds: int, dtype: str) -> tuple[list[ArrayRecord], Result]:
    """Flower's own run."""
    grid, strategy = plain_grid(inner, num_owners=num_owners, dtype=dtype)
    return history(strategy, grid, rounds, dtype)


def exact_history(inner: Strategy, *, num_owners: int, rounds: int, dtype: str) -> tuple[list[ArrayRecord], Result]:
    """The same run through `Omnilytics`, unquantised."""
    grid, strategy = exact_grid(inner, num_owners=num_owners, dtype=dtype)
    return history(strategy, grid, rounds, dtype)
