"""The owner agent as a real process on a real chain: served, watched, killed at every stage, and right in the end."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict

from omnilytics_flwr.data_owner.agent_process import SEEN_NAME
from omnilytics_flwr.data_owner.agent_socket import SOCKET_NAME, TOKEN_NAME
from omnilytics_flwr.data_owner.remote_agent import RemoteAgent
from omnilytics_flwr.errors import Refused, UpdateError
from omnilytics_flwr.flower.mod import HOME_KEY, agent_of_operator
from omnilytics_flwr.market.stage import Stage

from .agent_process import NUM_OWNERS, AgentProcess, ProcessPlay, add, await_true, process_play, running


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPlay]:
    """A market with vectors of one polynomial."""
    with process_play(tmp_path_factory.mktemp("play"), 42) as made:
        yield made


def test_round_ends_right_though_the_agent_is_killed_at_every_stage(play: ProcessPlay) -> None:
    keeper = play.anchor("accuse")
    with running(play.home) as agent:
        assert play.remote.admit(play.task).commitment is None
        agent.kill()  # before the commitment
    with running(play.home) as agent:
        first = play.remote.commit(play.task, play.update_of(0))
        agent.kill()  # before its reply reached anybody, say
    with running(play.home) as agent:
        assert play.remote.commit(play.task, play.update_of(100)) == first, "a client that trains again trains otherwise"
        add(keeper, first)
        play.commit_others(keeper)
        agent.kill()  # between commitment and opening
    digests = keeper.open()
    with running(play.home) as agent:
        vectors = {play.deliver(digests).vector}
        agent.kill()  # after a delivery that never arrived
    play.deliver_others(keeper, digests)
    with running(play.home) as agent:
        vectors.add(play.deliver(digests).vector)
        assert len(vectors) == 1
        agent.kill()  # and the model owner, without the vector, accuses
    play.market.ledger.accuse(play.task.round, 1 << play.seat, digests)
    assert not play.market.ledger.state().answered
    with running(play.home):
        await_true(lambda: bool(play.market.ledger.state().answered), "the answer")
        proven = keeper.prove()
        report = keeper.settle(proven, None)
        assert report.settled
        assert play.owner in {owner for group in report.roster for owner in group}
        assert vectors == {play.market.ledger.answered_vector(play.task.round, play.seat)}
        await_true(lambda: play.market.ledger.claimable_wei(play.owner) == 0, "the claim")
        await_true(lambda: not play.entries()[-1].vector, "the end of the vector")
        await_true(lambda: play.market.ledger.state().disputes_wei == 0, "the refund")


def test_model_owner_settles_with_the_vector_that_the_agent_answered_by_itself(play: ProcessPlay) -> None:
    """No message asks the data owner for it: it is in no client's hands."""
    with running(play.home):
        keeper = play.anchor("accuse")
        add(keeper, play.remote.commit(play.task, play.update_of(0)))
        play.commit_others(keeper)
        play.deliver_others(keeper, keeper.open())
        report = keeper.settle(keeper.prove(), None)
    assert report.settled
    assert [receipt.event for receipt in report.receipts].count("accuse") == 1
    accepted = {owner for position in report.accepted for owner in report.roster[position]}
    assert len(accepted) == NUM_OWNERS - 3, "one group of five is dropped, and none is void or waived"


def test_same_task_after_a_reorganisation_gets_the_same_digest(play: ProcessPlay) -> None:
    with running(play.home):
        before = play.request("evm_snapshot")
        play.anchor()
        first = play.remote.commit(play.task, play.update_of(0))
        task = play.task
        assert play.request("evm_revert", before)
        play.request("evm_increaseTime", 5)
        play.request("anvil_mine", "0x3")
        play.market.ledger.anchor(task.task_hash)
        again = play.remote.commit(task, play.update_of(1))
        assert (again.digest, again.owner) == (first.digest, first.owner)
        assert again.signature != first.signature
        digests = play.open_with(again)
        assert play.deliver(digests).points
        play.pass_deadline()
        await_true(lambda: play.market.ledger.state().stage is Stage.IDLE, "the timeout")


def test_files_of_an_agent_at_work(play: ProcessPlay) -> None:
    with running(play.home) as agent:
        for name in (SOCKET_NAME, TOKEN_NAME, "agent.lock"):
            assert stat.S_IMODE((play.home / name).stat().st_mode) == 0o600
        seen = json.loads((play.home / SEEN_NAME).read_text())
        assert seen["process"] == agent.process.pid
        assert abs(seen["seen"] - time.time()) < 60
        inode = os.stat(play.home / SEEN_NAME).st_ino
        await_true(lambda: os.stat(play.home / SEEN_NAME).st_ino != inode, "the next look")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_agent_cleanly(play: ProcessPlay, number: signal.Signals) -> None:
    with running(play.home) as agent:
        assert agent.end(number) == 0
        assert not (play.home / SOCKET_NAME).exists()
        assert "at rest" in agent.log.read_text()
    with pytest.raises(Refused, match="does not answer"):
        play.remote.admit(play.task)


def test_second_agent_on_a_home_is_refused_and_the_first_goes_on(play: ProcessPlay) -> None:
    with running(play.home), AgentProcess(play.home) as second:
        assert second.process.wait(60) == 1
        assert "Refused: an owner agent is at work on" in second.log.read_text()
        with pytest.raises(Refused, match="nothing is committed here"):
            play.remote.deliver(31337, play.market.ledger.address, 1, 99, ())


def test_killed_agent_leaves_a_socket_that_the_next_one_replaces(play: ProcessPlay) -> None:
    with running(play.home) as agent:
        agent.kill()
    assert (play.home / SOCKET_NAME).exists()
    with running(play.home), pytest.raises(Refused, match="nothing is committed here"):
        play.remote.deliver(31337, play.market.ledger.address, 1, 99, ())


def test_home_that_is_none_is_a_named_error(tmp_path: Path) -> None:
    with AgentProcess(tmp_path) as agent:
        assert agent.process.wait(60) == 1
        assert "Refused: there is no owner home at" in agent.log.read_text()


def test_agent_without_ether_for_answers_refuses_to_commit(play: ProcessPlay) -> None:
    with running(play.home):
        play.anchor()
        balance = play.request("eth_getBalance", play.owner, "latest")
        play.request("anvil_setBalance", play.owner, hex(play.market.ledger.answer_cost_wei()))
        for ask in (lambda: play.remote.admit(play.task), lambda: play.remote.commit(play.task, play.update_of(0))):
            with pytest.raises(Refused, match="answering accusations may take"):
                ask()
        play.request("anvil_setBalance", play.owner, balance)
        assert play.remote.commit(play.task, play.update_of(0)).owner == play.owner


def test_agent_that_is_not_fresh_refuses_to_commit(tmp_path: Path) -> None:
    """A thousandth of a microsecond is over before anybody can ask."""
    with process_play(tmp_path, 42, fresh_seconds=1e-9) as play, running(play.home):
        play.anchor()
        for ask in (lambda: play.remote.admit(play.task), lambda: play.remote.commit(play.task, play.update_of(0))):
            with pytest.raises(Refused, match="the owner agent has not seen the chain for"):
                ask()


def test_operators_agent_is_the_process_where_the_home_says_so(play: ProcessPlay) -> None:
    context = Context(run_id=1, node_id=1, node_config={HOME_KEY: str(play.home)}, state=RecordDict(), run_config={})
    agent = agent_of_operator(context)
    assert isinstance(agent, RemoteAgent)
    with pytest.raises(Refused, match="does not answer"):
        agent.admit(play.task)
    with running(play.home):
        play.anchor()
        assert agent.admit(play.task).metrics == ("loss",)
        with pytest.raises(UpdateError, match="shape"):
            agent.commit(play.task, play.update_of(0)[:-1])
