"""The rounds of the journal, and which of their steps a market that has gone back needs again."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.errors import CommitmentsExpired, Malformed, OmnilyticsError
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.messages import Commitment, recover
from omnilytics_flwr.market.stage import Event, Stage
from omnilytics_flwr.market.task import TaskParts
from omnilytics_flwr.model_owner.live_round import LiveRound
from omnilytics_flwr.model_owner.replay import due
from omnilytics_flwr.model_owner.round_journal import KEPT_ROUNDS, decode_delivery, decode_round, encode_delivery, encode_round
from omnilytics_flwr.model_owner.run_directory import Record, RunDirectory
from omnilytics_flwr.model_owner.vector_files import VectorFiles
from tests.data_owner.owners import TASK
from tests.model_owner.conftest import NEXT, Play, make_play
from tests.support.builders import address_of


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


# Steps that are due

Walked = tuple[dict[str, MarketState], dict[int, LiveRound]]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """A market's state after each step up to a settled round and the anchoring of another task, and the rounds as they are kept."""
    play, states = make_play(tmp_path_factory.mktemp("owners")), {}

    def steps() -> Iterator[str]:
        yield "drawn"
        task = play.anchor_and_commit()
        yield "anchored"
        play.open_and_deliver(task)
        yield "opened"
        play.keeper.settle(play.keeper.prove(), NEXT)
        yield "settled"
        play.keeper.anchor(TASK)
        yield "anchored again"

    for name in steps():
        states[name] = play.scene.state
    return states, dict(play.keeper._journal.rounds)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("drawn", (Event.ANCHOR, 1)),
        ("anchored", (Event.OPEN, 1)),
        ("opened", (Event.SETTLE, 1)),
        ("settled", (Event.ANCHOR, 3)),
        ("anchored again", None),
    ],
)
def test_step_that_is_due_follows_from_where_the_market_stands(walked: Walked, where: str, expected: tuple[Event, int] | None) -> None:
    states, rounds = walked
    step = due(rounds, states[where])
    assert (step and (step[0], step[1].task.round)) == expected


def test_nothing_is_due_of_other_rounds_tasks_rosters_epochs_or_stages(walked: Walked) -> None:
    states, rounds = walked
    assert due({}, states["opened"]) is None
    assert due(rounds, replace(states["opened"], roster_hash=bytes(32))) is None
    assert due(rounds, replace(states["anchored"], task_hash=bytes(32))) is None
    for name in ("drawn", "anchored", "opened"):
        assert due(rounds, replace(states[name], epoch=2)) is None
        for stage in (Stage.ENROLLING, Stage.FROZEN, Stage.CLOSED):
            assert due(rounds, replace(states[name], stage=stage)) is None
    live = rounds[1]
    assert due({1: replace(live, opened=False)}, states["anchored"]) is None
    assert due({1: replace(live, call=None)}, states["opened"]) is None


# Replay


def test_catching_up_with_a_market_that_is_where_it_should_be_sends_nothing(play: Play) -> None:
    play.run(NEXT)
    before = play.scene.world.number
    play.keeper.catch_up()
    assert play.scene.world.number == before


def test_step_that_the_market_refuses_to_repeat_is_given_up(play: Play) -> None:
    """The chain goes back to before the settlement, and comes back only when it is too late to settle."""
    trouble = play.keep()
    play.open_and_deliver(play.anchor_and_commit())
    opened = play.scene.world.snapshot()
    play.keeper.settle(play.keeper.prove(), NEXT)
    play.scene.world.restore(opened)
    play.scene.world.timestamp = play.scene.state.settle_by + 1
    for _ in range(2):
        play.keeper.catch_up()
        assert len(trouble) == 1, "it is not tried for ever"
    assert "settle cannot be repeated" in trouble[0]
    assert play.scene.state.stage is Stage.OPEN


@pytest.mark.parametrize("projected", [False, True], ids=["exact", "projected"])
def test_round_that_is_anchored_anew_is_signed_again_before_it_opens_and_settled_with_those_signatures(
    tmp_path: Path, projected: bool
) -> None:
    """A commitment names the deadline of its anchoring: the old ones are good for nothing once the chain has forgotten it."""
    play = make_play(tmp_path, projected=projected)
    sent: list[tuple[bytes, ...]] = []

    def settle(method: Callable[..., Any], number: int, settlement: bytes, signatures: tuple[bytes, ...], *others: object) -> Any:
        sent.append(signatures)
        return method(number, settlement, signatures, *others)

    play.keep(faults={"settle": settle})
    drawn = play.scene.world.snapshot()
    report, _, task = play.run(NEXT)
    live = play.keeper._journal.rounds[task.round]
    digests = live.digests()

    play.scene.world.restore(drawn)
    play.scene.world.wait(7)
    with pytest.raises(CommitmentsExpired):
        play.keeper.catch_up()
    assert play.scene.state.stage is Stage.ANCHORED, "nothing is opened with signatures that are void"
    for commitment in play.commitments(task, play.owners).values():
        play.keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature, task.round)
    play.keeper.catch_up()

    assert (play.scene.state.stage, play.scene.state.round) == (Stage.ANCHORED, 2)
    assert live.digests() == digests, "the same vectors, or their masks would be used twice"
    assert {address_of(number) for number, wei in play.claimable().items() if wei} == set(report.paid)
    old, new = sent
    if projected:
        assert old == new, "deliveries name the roster, which is the same"
    else:
        messages = [Commitment(task.epoch, task.round, task.task_hash, live.open_by, digest) for digest in digests]
        hashes = [message.signing_hash(chain_id=task.chain_id, market=task.market) for message in messages]
        signers = [member.owner for member in live.roster_members()]
        assert [recover(*pair) for pair in zip(hashes, new, strict=True)] == signers
        assert not set(old) & set(new)


def test_opening_that_was_forgotten_while_nobody_lived_is_given_up_by_the_next_process(play: Play, directory: RunDirectory) -> None:
    """A new process has no requests that data owners could be asked with to sign again, and must not ask for ever."""
    play.keep(directory=directory)
    drawn = play.scene.world.snapshot()
    task = play.anchor_and_commit()
    play.open_and_deliver(task)
    play.scene.world.restore(drawn)
    play.scene.world.timestamp += 7
    play.scene.ledger().anchor(task.task_hash)
    trouble = play.keep(directory=directory)
    with pytest.raises(CommitmentsExpired):
        play.keeper.resume()
    assert play.keeper.resume() is None
    assert len(trouble) == 1
    assert "open cannot be repeated" in trouble[0]
    report, _, again = play.run()
    assert report.settled
    assert again == task, "the round is begun once more, with what its data owners have committed to"


# Rounds in the run directory


def test_rounds_long_past_are_forgotten(play: Play, directory: RunDirectory) -> None:
    play.keep(directory=directory)
    for number in range(6):
        play.keeper.anchor(TaskParts(bytes([number]) * 32, b"\5" * 32, b"\6" * 32))
    assert sorted(play.keeper._journal.rounds) == list(range(7 - KEPT_ROUNDS, 7))
    assert len(directory.names("round-")) == KEPT_ROUNDS


def test_round_comes_back_at_every_stage(play: Play) -> None:
    task = play.anchor_and_commit()
    live = play.keeper.live

    def check() -> None:
        found = decode_round(encode_round(live))
        assert found == replace(
            live, deliveries={}, sums={}, epoch_seed=b"", receipts=[replace(receipt, logs={}) for receipt in live.receipts]
        )

    check()
    digests = play.keeper.open()
    check()
    for delivery in play.deliveries(task, digests).values():
        play.keeper.add_delivery(delivery.owner, delivery.vector, delivery.points, metrics={"metrics": {"loss": 0.5, "steps": [1, 2]}})
    for owner, delivered in live.deliveries.items():
        assert decode_delivery(encode_delivery(owner, delivered)) == (owner, delivered)
    play.keeper.settle(play.keeper.prove(), NEXT)
    check()


def test_record_that_is_no_round_is_malformed(play: Play) -> None:
    play.anchor_and_commit()
    record = encode_round(play.keeper.live)
    for key in record.facts:
        facts = {name: fact for name, fact in record.facts.items() if name != key}
        with pytest.raises(Malformed):
            decode_round(Record(facts, record.arrays))
    for bad in (Record({}), Record({**record.facts, "task": 1}), Record({**record.facts, "commitments": {"a": ["zz", ""]}})):
        with pytest.raises(OmnilyticsError):
            decode_round(bad)
    with pytest.raises(OmnilyticsError):
        decode_delivery(Record({}))


@pytest.mark.parametrize("late", [False, True])
def test_keeper_of_a_new_process_goes_on_with_deliveries_that_were_made(play: Play, directory: RunDirectory, late: bool) -> None:
    play.keep(directory=directory)
    play.open_and_deliver(play.anchor_and_commit())
    if late:
        play.scene.world.timestamp = play.scene.state.settle_by + 1
    play.keep(directory=directory)
    assert play.keeper.resume() is None
    if late:
        (report,) = play.keeper.reports
        assert (report.settled, report.timed_out, len(report.paid)) == (False, True, 15)
        assert play.keeper.anchor(NEXT).round == 2
    else:
        assert play.keeper.is_open
        assert play.keeper.live.missing() == ()
        report = play.keeper.settle(play.keeper.prove(), NEXT)
        assert len(report.accepted) == 4
        assert [receipt.event for receipt in report.receipts] == ["anchor", "open", "settle"]
    assert play.scene.surplus_wei() == 0


def test_delivery_whose_vector_was_cut_on_disk_counts_as_not_delivered(play: Play, directory: RunDirectory) -> None:
    play.keep(directory=directory)
    play.open_and_deliver(play.anchor_and_commit())
    next(directory.path.glob("*.vector")).write_bytes(bytes(32))
    trouble = play.keep(directory=directory)
    play.keeper.resume()
    assert len(play.keeper.live.missing()) == 1
    assert "has 32 bytes of 131072" in trouble[0]


def test_kill_while_vectors_are_cleared_leaves_a_directory_that_loads(
    play: Play, directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    play.keep(directory=directory)
    play.open_and_deliver(play.anchor_and_commit())
    play.keeper.settle(play.keeper.prove(), NEXT)

    def killed(*names: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(VectorFiles, "delete", killed)
    with pytest.raises(KeyboardInterrupt):
        play.keeper.booked()
    trouble = play.keep(directory=directory)
    play.keeper.resume()
    assert trouble == []


def test_disk_that_takes_nothing_more_does_not_cost_an_open_round(
    play: Play, directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = play.keep(directory=directory)
    play.open_and_deliver(play.anchor_and_commit())

    def full(*names: object) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    for method in ("write", "delete"):
        monkeypatch.setattr(RunDirectory, method, full)
    report = play.keeper.settle(play.keeper.prove(), NEXT)
    assert report.settled
    assert any("read-only file system" in said for said in trouble)


def test_vector_that_the_disk_lost_while_the_round_was_open_costs_its_group_alone(play: Play, directory: RunDirectory) -> None:
    trouble = play.keep(directory=directory)
    task = play.anchor_and_commit()
    play.open_and_deliver(task)
    play.keeper.live.forget_sums()
    next(directory.path.glob("*.vector")).unlink()
    report = play.keeper.settle(play.keeper.prove(), NEXT)
    assert (report.settled, len(report.waived), len(report.learnt), len(trouble)) == (True, 1, 4, 1)
    assert "cannot be added up, and is waived" in trouble[0]
