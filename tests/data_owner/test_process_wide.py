"""The owner agent's process and vectors that one transaction does not carry; a round that its model owner abandons."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omnilytics_flwr.data_owner.owner_home import OwnerHome
from omnilytics_flwr.market.stage import Stage

from .agent_process import NUM_OWNERS, WIDE, ProcessPlay, await_true, process_play, running

KEEP_BLOCKS = 3


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPlay]:
    """A market with vectors of eight polynomials."""
    with process_play(tmp_path_factory.mktemp("play"), WIDE, keep_blocks=KEEP_BLOCKS) as made:
        yield made


def test_answer_survives_a_kill_between_its_transactions_and_the_abandoned_round_pays(play: ProcessPlay) -> None:
    ledger = play.market.ledger
    with running(play.home) as agent:
        play.anchor()
        digests = play.open_with(play.remote.commit(play.task, play.update_of(0)))
        ledger.accuse(play.task.round, 1 << play.seat, digests)
        await_true(lambda: ledger.accusation(play.seat).answered_polynomials == 6, "the first part of the answer")
        agent.kill()
    assert ledger.accusation(play.seat).answered_polynomials in (6, 8)
    (entry,) = play.entries()
    with running(play.home):
        await_true(lambda: bool(ledger.state().answered >> play.seat & 1), "the rest of the answer")
        assert ledger.answered_vector(play.task.round, play.seat) == entry.vector

        play.pass_deadline()
        await_true(lambda: ledger.state().stage is Stage.IDLE, "the timeout")
        await_true(lambda: ledger.claimable_wei(play.owner) == 0, "the claim")
        assert ledger.bond_share_wei(play.task.round) == ledger.terms().bond_wei // NUM_OWNERS
        await_true(lambda: ledger.state().disputes_wei == 0, "the refund of fee and deposit, all of which it earned")

        play.request("anvil_mine", hex(KEEP_BLOCKS))
        await_true(lambda: not play.entries()[-1].vector, "the end of the vector")
    assert agent.log.read_text().count("claim through round 1") == 1


def test_vector_is_kept_for_some_blocks_after_its_round(play: ProcessPlay) -> None:
    """A reorganisation of fewer blocks may ask for it again."""
    agent = OwnerHome.open(play.home).agent_for(play.market.owner_ledgers()[0])
    play.anchor()
    agent.commit(play.task, play.update_of(0))
    play.anchor()
    for _ in range(KEEP_BLOCKS - 1):
        agent.tidy()
        assert play.entries()[-1].vector
        play.request("anvil_mine", "0x1")
    agent.tidy()
    assert play.entries()[-1].vector
    play.request("anvil_mine", "0x1")
    agent.tidy()
    assert not play.entries()[-1].vector
