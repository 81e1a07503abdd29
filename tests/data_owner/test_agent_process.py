"""The owner agent as a real process on a real chain: served, watched, killed at every stage, and right in the end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from msgspec import structs

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.agent_process import SEEN_NAME
from omnilytics_flwr.data_owner.agent_socket import SOCKET_NAME
from omnilytics_flwr.data_owner.journal import Entry, Journal
from omnilytics_flwr.data_owner.local_agent import LocalAgent
from omnilytics_flwr.data_owner.owner_agent import MaskedUpdate, OwnerAgent, SignedCommitment
from omnilytics_flwr.data_owner.owner_config import CONFIG_NAME, read_config
from omnilytics_flwr.data_owner.owner_home import OwnerHome
from omnilytics_flwr.data_owner.remote_agent import RemoteAgent
from omnilytics_flwr.errors import Refused, UpdateError
from omnilytics_flwr.flower.mod import HOME_KEY, agent_of_operator
from omnilytics_flwr.local_market import LocalMarket
from omnilytics_flwr.market.roster import bits_of, roster_hash, roster_seats
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.market.terms import Address, Terms
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from tests.data_owner.owners import assert_refused
from tests.support.builders import make_terms
from tests.support.nodes import Limit, limited

NUM_OWNERS = 15
WIDE = 60_000
"""Weights of eight polynomials: an answer takes two transactions."""
START_SECONDS = 120.0


class AgentProcess:
    """``python -m omnilytics_flwr.data_owner HOME``."""

    def __init__(self, home: Path) -> None:
        self.log = home / "agent.log"
        command = [sys.executable, "-m", "omnilytics_flwr.data_owner", str(home)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=Path(__file__).parents[2])
        self.output = cast("IO[bytes]", self.process.stdout)

    def await_ready(self) -> AgentProcess:
        """Wait until it serves clients."""
        readable, _, _ = select.select([self.output], [], [], START_SECONDS)
        assert readable, self.log.read_text()
        assert self.output.readline() == b"ready\n", self.log.read_text()
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running(home: Path, *, serves: bool = True) -> Iterator[AgentProcess]:
    """An agent's process, killed at the end of the block at the latest; at its start it serves clients, if it ever does."""
    agent = AgentProcess(home)
    try:
        yield agent.await_ready() if serves else agent
    finally:
        agent.kill()
        agent.output.close()


def await_true(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


@dataclass
class ProcessMarket:
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

    def anchor(self) -> RoundKeeper:
        """A keeper with a task that nobody has seen."""
        keeper = RoundKeeper(self.market.ledger, missing="accuse", clock=Clock(poll_seconds=0.1))
        self.parts += 1
        self.task = keeper.anchor(TaskParts(self.parts.to_bytes(32, "big"), bytes(32), bytes(32)))
        return keeper

    def update_of(self, number: int) -> np.ndarray:
        return np.random.default_rng(number).normal(0.0, 0.2, self.market.ledger.terms().weights)

    def deliver(self, digests: tuple[bytes, ...], agent: OwnerAgent | None = None) -> MaskedUpdate:
        task = self.task
        return (agent or self.remote).deliver(task.chain_id, Address(task.market), task.epoch, task.round, digests)

    def open_with(self, commitment: SignedCommitment) -> tuple[bytes, ...]:
        """Open the live round with a commitment, and digests of no vector for everybody else."""
        ledger = self.market.ledger
        digests = []
        members = {member.seat: member.owner for member in ledger.members()}
        groups = (1 << NUM_OWNERS // 3) - 1
        for seat in roster_seats([ledger.group_seats(group) for group in bits_of(groups)]):
            digests.append(commitment.digest if members[seat] == commitment.owner else keccak256(bytes([seat])))
        ledger.open(self.task.round, groups, roster_hash(groups, digests))
        return tuple(digests)

    def pass_deadline(self) -> None:
        self.request("evm_setNextBlockTimestamp", self.market.ledger.state().settle_by + 1)
        self.request("anvil_mine", "0x1")

    def request(self, method: str, *params: object) -> object:
        return self.market.ledger.connection.request(method, *params)

    def entries(self) -> list[Entry]:
        return Journal(self.home / "journal").entries()


@contextmanager
def process_market(folder: Path, weights: int, **policy: object) -> Iterator[ProcessMarket]:
    """A drawn market; nobody's agent is at work yet, and data owner 0's will look at the chain often."""
    hours = dict.fromkeys(("commit_seconds", "accuse_seconds", "answer_seconds", "prove_seconds"), 3600)
    bounds = {"weights": weights, "update_bits": 16, "norm_bound": 2**70, "rounds_per_epoch": 100}

    def terms(verification: Address) -> Terms:
        return make_terms(verification=verification, metrics=("loss",), accuse_fee_wei=77, **bounds, **hours)

    with LocalMarket(terms, num_owners=NUM_OWNERS, escrow_wei=10**6, folder=folder) as market:
        others = [home.agent_for(ledger) for home, ledger in zip(market.homes, market.owner_ledgers(), strict=True)]
        home = market.homes[0]
        config = structs.replace(home.config, agent="process", policy={"poll-seconds": 0.2} | policy)
        (home.path / CONFIG_NAME).write_bytes(config.to_toml())
        yield ProcessMarket(market, home.path, others[1:])


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessMarket]:
    """A market with vectors of one polynomial."""
    with process_market(tmp_path_factory.mktemp("play"), 42) as made:
        yield made


def test_round_ends_right_though_the_agent_is_killed_at_every_stage(narrow: ProcessMarket) -> None:
    keeper = narrow.anchor()
    with running(narrow.home) as agent:
        assert narrow.remote.admit(narrow.task).commitment is None
        agent.kill()  # before the commitment
    with running(narrow.home) as agent:
        first = narrow.remote.commit(narrow.task, narrow.update_of(0))
        agent.kill()  # before its reply reached anybody, say
    with running(narrow.home) as agent:
        assert narrow.remote.commit(narrow.task, narrow.update_of(100)) == first, "a client that trains again trains otherwise"
        others = [agent.commit(narrow.task, narrow.update_of(number)) for number, agent in enumerate(narrow.others, start=1)]
        for commitment in (first, *others):
            keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)
        agent.kill()  # between commitment and opening
    digests = keeper.open()
    with running(narrow.home) as agent:
        vectors = {narrow.deliver(digests).vector}
        agent.kill()  # after a delivery that never arrived
    for agent_here in narrow.others:
        delivery = narrow.deliver(digests, agent_here)
        keeper.add_delivery(delivery.owner, delivery.vector, delivery.points)
    with running(narrow.home) as agent:
        vectors.add(narrow.deliver(digests).vector)
        assert len(vectors) == 1
        agent.kill()  # and the model owner, without the vector, accuses
    narrow.market.ledger.accuse(narrow.task.round, 1 << narrow.seat, digests, keeper.live.signatures(1 << narrow.seat))
    assert not narrow.market.ledger.state().answered
    with running(narrow.home):
        await_true(lambda: bool(narrow.market.ledger.state().answered), "the answer")
        proven = keeper.prove()
        report = keeper.settle(proven, None)
        assert report.settled
        assert narrow.owner in {owner for group in report.roster for owner in group}
        assert vectors == {narrow.market.ledger.answered_vector(narrow.task.round, narrow.seat)}
        await_true(lambda: narrow.market.ledger.claimable_wei(narrow.owner) == 0, "the claim")
        await_true(lambda: not narrow.entries()[-1].vector, "the end of the vector")
        await_true(lambda: not any(narrow.market.ledger.withdrawable_wei(narrow.owner)), "the refund")


def test_agent_at_work_tells_when_it_saw_the_chain_and_how_it_is(narrow: ProcessMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNILYTICS_LOG_FORMAT", "json")
    monkeypatch.setenv("OMNILYTICS_HEALTH_PORT", "0")
    with running(narrow.home) as agent:
        said = [json.loads(line)["message"] for line in agent.log.read_text().splitlines() if line.startswith("{")]
        (url,) = [message.split()[-1] for message in said if "tells how it is" in message]
        with urllib.request.urlopen(url) as answer:
            health = json.load(answer)
        assert (health["ready"], health["joined"], health["accused"]) == (True, True, False)
        assert (health["account"], health["market"]) == (narrow.owner, narrow.market.ledger.address)
        seen = json.loads((narrow.home / SEEN_NAME).read_text())
        assert seen["process"] == agent.process.pid
        assert abs(seen["seen"] - time.time()) < 60
        inode = os.stat(narrow.home / SEEN_NAME).st_ino
        await_true(lambda: os.stat(narrow.home / SEEN_NAME).st_ino != inode, "the next look")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_agent_cleanly(narrow: ProcessMarket, number: signal.Signals) -> None:
    narrow.anchor()
    with running(narrow.home) as agent:
        agent.process.send_signal(number)
        assert agent.process.wait(60) == 0
        assert not (narrow.home / SOCKET_NAME).exists()
        assert "at rest" in agent.log.read_text()
    with pytest.raises(Refused, match="does not reply"):
        narrow.remote.admit(narrow.task)


def test_second_agent_on_a_home_is_refused_and_the_first_goes_on(narrow: ProcessMarket) -> None:
    with running(narrow.home), running(narrow.home, serves=False) as second:
        assert second.process.wait(60) == 1
        assert "Refused: an owner agent is at work on" in second.log.read_text(), "a named error, not a traceback"
        with pytest.raises(Refused, match="nothing is committed here"):
            narrow.remote.deliver(31337, narrow.market.ledger.address, 1, 99, ())


def test_agent_without_ether_for_answers_refuses_to_commit(narrow: ProcessMarket) -> None:
    with running(narrow.home):
        narrow.anchor()
        balance = narrow.request("eth_getBalance", narrow.owner, "latest")
        narrow.request("anvil_setBalance", narrow.owner, hex(narrow.market.ledger.answer_cost_wei() // 2))
        assert_refused(narrow.remote, narrow.task, "answering accusations may take")
        narrow.request("anvil_setBalance", narrow.owner, balance)
        assert narrow.remote.commit(narrow.task, narrow.update_of(0)).owner == narrow.owner


def test_agent_whose_node_would_not_pass_an_answer_on_commits_to_nothing_and_says_why(narrow: ProcessMarket) -> None:
    config = read_config(narrow.home)
    limit = Limit(200_000)
    with limited(config.rpc_url, limit) as url:
        (narrow.home / CONFIG_NAME).write_bytes(structs.replace(config, rpc_url=url).to_toml())
        try:
            with running(narrow.home) as agent:
                narrow.anchor()
                assert_refused(
                    narrow.remote,
                    narrow.task,
                    r"an accusation could not be answered: the data owner's node fails it; the agent's log says how$",
                )
                assert "nothing is committed by this agent: this node takes no transaction" in agent.log.read_text()
                limit.most_bytes = 10**7
                assert narrow.remote.commit(narrow.task, narrow.update_of(0)).owner == narrow.owner
                assert "an answer to an accusation would cost" in agent.log.read_text()
        finally:
            (narrow.home / CONFIG_NAME).write_bytes(config.to_toml())


def test_operators_agent_is_the_process_where_the_home_says_so(narrow: ProcessMarket) -> None:
    context = Context(run_id=1, node_id=1, node_config={HOME_KEY: str(narrow.home)}, state=RecordDict(), run_config={})
    agent = agent_of_operator(context)
    assert isinstance(agent, RemoteAgent)
    with pytest.raises(Refused, match="does not reply"):
        agent.admit(narrow.task)
    with running(narrow.home):
        narrow.anchor()
        assert agent.admit(narrow.task).metrics == ("loss",)
        with pytest.raises(UpdateError, match="shape"):
            agent.commit(narrow.task, narrow.update_of(0)[:-1])


KEEP_BLOCKS = 3


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessMarket]:
    """A market with vectors of eight polynomials."""
    with process_market(tmp_path_factory.mktemp("play"), WIDE, **{"keep-blocks": KEEP_BLOCKS}) as made:
        yield made


def test_answer_survives_a_kill_between_its_transactions_and_the_abandoned_round_pays(wide: ProcessMarket) -> None:
    ledger = wide.market.ledger
    with running(wide.home) as agent:
        wide.anchor()
        commitment = wide.remote.commit(wide.task, wide.update_of(0))
        ledger.accuse(wide.task.round, 1 << wide.seat, wide.open_with(commitment), (commitment.signature,))
        await_true(lambda: ledger.accusation(wide.seat).answered_polynomials == 6, "the first part of the answer")
        agent.kill()
    assert ledger.accusation(wide.seat).answered_polynomials in (6, 8)
    (entry,) = wide.entries()
    with running(wide.home):
        await_true(lambda: bool(ledger.state().answered >> wide.seat & 1), "the rest of the answer")
        assert ledger.answered_vector(wide.task.round, wide.seat) == entry.vector
        wide.pass_deadline()
        await_true(lambda: ledger.state().stage is Stage.IDLE, "the timeout")
        await_true(lambda: ledger.claimable_wei(wide.owner) == 0, "the claim")
        assert ledger.bond_share_wei(wide.task.round) == ledger.terms().bond_wei // NUM_OWNERS
        await_true(lambda: not any(ledger.withdrawable_wei(wide.owner)), "the refund of what its answers cost")
        wide.request("anvil_mine", hex(KEEP_BLOCKS))
        await_true(lambda: not wide.entries()[-1].vector, "the end of the vector")
    assert agent.log.read_text().count("claim through round 1") == 1


def test_vector_is_kept_for_some_blocks_after_its_round(wide: ProcessMarket) -> None:
    """A reorganisation of fewer blocks may ask for it again."""
    agent = OwnerHome.open(wide.home).agent_for(wide.market.owner_ledgers()[0])
    wide.anchor()
    agent.commit(wide.task, wide.update_of(0))
    wide.anchor()
    kept = []
    for _ in range(KEEP_BLOCKS + 1):
        agent.tidy()
        kept.append(bool(wide.entries()[-1].vector))
        wide.request("anvil_mine", "0x1")
    assert kept == [True] * KEEP_BLOCKS + [False]
