"""Owner agents as processes of their own, in a market on a local chain."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, cast

import numpy as np
from msgspec import structs

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.journal import Entry, Journal
from omnilytics_flwr.data_owner.local_agent import LocalAgent
from omnilytics_flwr.data_owner.owner_agent import Delivery, SignedCommitment
from omnilytics_flwr.data_owner.owner_config import CONFIG_NAME
from omnilytics_flwr.data_owner.owner_home import OwnerHome
from omnilytics_flwr.data_owner.remote_agent import RemoteAgent
from omnilytics_flwr.local_market import LocalMarket
from omnilytics_flwr.market.commitment_message import sign_commitment
from omnilytics_flwr.market.roster import bits_of, roster_seats
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.market.terms import Address, Terms
from omnilytics_flwr.model_owner.round_keeper import Missing, RoundKeeper
from tests.support.builders import make_terms

NUM_OWNERS = 15
WIDE = 60_000
"""Weights of eight polynomials: an answer takes two transactions."""
START_SECONDS = 120.0
FEE_WEI = 77


class AgentProcess:
    """``python -m omnilytics_flwr.data_owner HOME``, ended by force at the end of the block at the latest."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "agent.log"

    def __enter__(self) -> AgentProcess:
        with open(self.log, "ab") as log:
            command = [sys.executable, "-m", "omnilytics_flwr.data_owner", str(self.home)]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=Path(__file__).parents[2])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.kill()
        self._output.close()

    def await_ready(self) -> AgentProcess:
        """Wait until it serves clients."""
        readable, _, _ = select.select([self._output], [], [], START_SECONDS)
        assert readable, self.log.read_text()
        assert self._output.readline() == b"ready\n", self.log.read_text()
        return self

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def _output(self) -> IO[bytes]:
        return cast("IO[bytes]", self.process.stdout)


@contextmanager
def running(home: Path) -> Iterator[AgentProcess]:
    """An agent that serves clients."""
    with AgentProcess(home) as agent:
        yield agent.await_ready()


def await_true(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


def terms_of(weights: int, verification: Address) -> Terms:
    """Time for everything."""
    return make_terms(
        verification=verification,
        weights=weights,
        update_bits=16,
        norm_bound=2**70,
        metrics=("loss",),
        accuse_fee_wei=FEE_WEI,
        rounds_per_epoch=100,
        commit_seconds=3600,
        accuse_seconds=3600,
        answer_seconds=3600,
        prove_seconds=3600,
    )


def to_process(home: OwnerHome, **policy: object) -> Path:
    """Let the agent of a home be a process that looks at the chain often."""
    entries = {"poll-seconds": 0.2, **{name.replace("_", "-"): value for name, value in policy.items()}}
    (home.path / CONFIG_NAME).write_bytes(structs.replace(home.config, agent="process", policy=entries).to_toml())
    return home.path


@dataclass
class ProcessPlay:
    """A market on a local chain in which data owner 0 has its agent in a process; the others' are here."""

    market: LocalMarket
    home: Path
    others: list[LocalAgent]
    parts: int = 0
    task: TaskId = field(init=False)

    @property
    def owner(self) -> Address:
        return self.market.owners[0]

    @property
    def seat(self) -> int:
        return self.market.ledger.owner_record(self.owner).seat

    @property
    def remote(self) -> RemoteAgent:
        """As a new Flower client has it."""
        return RemoteAgent(self.home)

    def anchor(self, missing: Missing = "waive") -> RoundKeeper:
        """A keeper with a task that nobody has seen."""
        keeper = RoundKeeper(self.market.ledger, missing=missing, clock=Clock(poll_seconds=0.1))
        self.parts += 1
        self.task = keeper.anchor(self.next_parts())
        return keeper

    def next_parts(self) -> TaskParts:
        return TaskParts(bytes(31) + bytes([self.parts]), bytes(32), bytes(32))

    def update_of(self, number: int) -> np.ndarray:
        return np.random.default_rng(number).normal(0.0, 0.2, self.market.ledger.terms().weights)

    def commit_others(self, keeper: RoundKeeper) -> None:
        for number, agent in enumerate(self.others, start=1):
            add(keeper, agent.commit(self.task, self.update_of(number)))

    def deliver(self, digests: tuple[bytes, ...]) -> Delivery:
        return self.remote.deliver(self.task.chain_id, Address(self.task.market), self.task.epoch, self.task.round, digests)

    def deliver_others(self, keeper: RoundKeeper, digests: tuple[bytes, ...]) -> None:
        for agent in self.others:
            task = self.task
            delivery = agent.deliver(task.chain_id, Address(task.market), task.epoch, task.round, digests)
            keeper.add_delivery(delivery.owner, delivery.vector, delivery.points)

    def open_with(self, commitment: SignedCommitment) -> tuple[bytes, ...]:
        """Open the live round with a commitment, and digests of no vector for everybody else."""
        ledger = self.market.ledger
        state, digests, signatures = ledger.state(), [], []
        wallets = {ledger.account: ledger.wallet for ledger in self.market.owner_ledgers()}
        members = {member.seat: member.owner for member in ledger.members()}
        groups = (1 << NUM_OWNERS // 3) - 1
        for seat in roster_seats([ledger.group_seats(group) for group in bits_of(groups)]):
            owner, digest = members[seat], keccak256(bytes([seat]))
            mine = owner == commitment.owner
            digests.append(commitment.digest if mine else digest)
            signatures.append(commitment.signature if mine else sign_commitment(wallets[owner], self.task, digest, state.open_by))
        ledger.open(state.round, groups, tuple(digests), tuple(signatures))
        return tuple(digests)

    def pass_deadline(self) -> None:
        """Let the deadline of the open round pass."""
        self.request("evm_setNextBlockTimestamp", self.market.ledger.state().settle_by + 1)
        self.request("anvil_mine", "0x1")

    def request(self, method: str, *params: object) -> object:
        """Ask the local chain for something."""
        return self.market.ledger.connection.request(method, *params)

    def entries(self) -> list[Entry]:
        return Journal(self.home / "journal").entries()


def add(keeper: RoundKeeper, commitment: SignedCommitment) -> None:
    keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)


@contextmanager
def process_play(folder: Path, weights: int, **policy: object) -> Iterator[ProcessPlay]:
    """A drawn market; nobody's agent is at work yet."""
    with LocalMarket(partial(terms_of, weights), num_owners=NUM_OWNERS, escrow_wei=10**6, folder=folder) as market:
        others = [home.agent_for(ledger) for home, ledger in zip(market.homes, market.owner_ledgers(), strict=True)]
        yield ProcessPlay(market, to_process(market.homes[0], **policy), others[1:])
