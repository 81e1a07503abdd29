"""Every exchange in every stage of a market: what the table of events does not allow is refused on both sides."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.errors import ProtocolError
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.flower.wire import RECORD, CommitReply
from omnilytics_flwr.market.refusals import WrongStage
from omnilytics_flwr.market.stage import ALLOWED, Event, Stage
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from tests.data_owner.owners import TASK, Owner, make_owners_scene, open_with
from tests.flower.clients import Client, FakeGrid, anchor_model, make_client, make_model, reason_of
from tests.support.builders import DictatedVerification, address_of, make_scene

TAKES: dict[str, Stage] = {"train": Stage.ANCHORED, "evaluate": Stage.ANCHORED, "deliver": Stage.OPEN}
"""The one stage in which a data owner answers each exchange: where its commitment can still be opened, and where its vector is due."""


def bring_to(stage: Stage, client: Client, owners: dict[int, Owner]) -> tuple[bytes, ...]:
    """Bring a drawn market, whose data owner 0 is the client's, to a stage by its own events; the roster's digests.

    In every stage that may come after a commitment, the client has committed in the market's next round.
    """
    scene = client.scene
    if stage is Stage.IDLE:
        return ()
    anchor_model(scene, make_model())
    if stage is Stage.ANCHORED:
        return ()
    commit = CommitReply.from_record(client.train(make_model()).content.config_records[RECORD])
    client.trainer.trained.clear()
    if stage is Stage.OPEN:
        return open_with(scene, commit)  # type: ignore[arg-type]
    if stage is Stage.CLOSED:
        scene.ledger().close()
        return (commit.digest,)
    for number in range(scene.num_owners):
        if number in owners:
            owners[number].agent().join()
        else:
            scene.join(number)
    scene.ledger().freeze()
    assert stage is Stage.FROZEN
    return (commit.digest,)


def enrolling_client(folder: Path) -> Client:
    """A client of a market that has never been frozen."""
    scene = make_scene(15, escrow_wei=200_000, weights=42)
    owner = Owner(scene, 0, folder / "owner-0", Policy())
    owner.agent().join()
    return make_client(owner)


@pytest.mark.parametrize(("stage", "exchange"), list(product(Stage, TAKES)))
def test_exchange_outside_its_stage_is_refused(tmp_path: Path, stage: Stage, exchange: str) -> None:
    if stage is Stage.ENROLLING:
        client, digests = enrolling_client(tmp_path), ()
    else:
        scene, owners = make_owners_scene(tmp_path, real=[0], verification=DictatedVerification())
        if exchange == "evaluate":  # evaluations follow a settled round
            scene.open()
            scene.settle()
        client = make_client(owners[0])
        digests = bring_to(stage, client, owners)
    assert client.scene.state.stage is stage
    before = client.scene.state
    request = {
        "train": lambda: client.train(make_model(), round=1, epoch=1),
        "evaluate": lambda: client.evaluate(make_model(), round=2, epoch=1),
        "deliver": lambda: client.deliver(digests, round=1, epoch=1),
    }[exchange]
    reply = request()
    if stage is TAKES[exchange]:
        assert not reply.has_error()
        return
    reason = reason_of(reply)
    assert reason.startswith(("OutOfTurn", "Refused", "TaskMismatch"))
    assert client.trainer.untouched
    assert client.scene.state == before


@pytest.mark.parametrize("stage", Stage)
def test_agent_joins_exactly_in_the_stages_that_allow_it(tmp_path: Path, stage: Stage) -> None:
    if stage is Stage.ENROLLING:
        client = enrolling_client(tmp_path)
    else:
        _scene, owners = make_owners_scene(tmp_path, real=[0])
        client = make_client(owners[0])
        bring_to(stage, client, owners)
    if Event.JOIN in ALLOWED[stage]:
        client.owner.agent().join()
        seat = client.scene.market.owner_record(client.owner.address).seat
        assert client.scene.state.enrolled >> seat & 1
    else:
        with pytest.raises(WrongStage):
            client.owner.agent().join()


@pytest.mark.parametrize("stage", Stage)
def test_keeper_anchors_exactly_in_the_stages_that_allow_it(tmp_path: Path, stage: Stage) -> None:
    if stage is Stage.ENROLLING:
        client = enrolling_client(tmp_path)
    else:
        _scene, owners = make_owners_scene(tmp_path, real=[0])
        client = make_client(owners[0])
        bring_to(stage, client, owners)
    keeper, before = RoundKeeper(client.scene.ledger()), client.scene.state
    if Event.ANCHOR in ALLOWED[stage]:
        assert keeper.anchor(TASK).round == before.round + 1
        assert client.scene.state.stage is Stage.ANCHORED
        return
    with pytest.raises(WrongStage):
        keeper.anchor(TASK)
    assert not keeper.is_live
    assert client.scene.state == before


@pytest.mark.parametrize("stage", Stage)
def test_strategy_trains_exactly_in_the_stages_that_allow_an_anchor(tmp_path: Path, stage: Stage) -> None:
    if stage is Stage.ENROLLING:
        client = enrolling_client(tmp_path)
    else:
        scene, owners = make_owners_scene(tmp_path, real=[0])
        client = make_client(owners[0])
        bring_to(stage, client, owners)
    scene = client.scene
    grid = FakeGrid({11: client.app, 12: client.app})
    strategy = Omnilytics(FedAvg(), ledger=scene.ledger())
    if Event.ANCHOR in ALLOWED[stage]:
        result = strategy.start(grid, make_model(), 1)
        assert [report.settled for report in strategy.reports] == [False], "one data owner is too few"
        assert not result.arrays
        return
    before = scene.state
    with pytest.raises(WrongStage):
        strategy.start(grid, make_model(), 1)
    assert not grid.requests
    assert scene.state == before


@pytest.mark.parametrize("call", ["open", "prove", "settle", "task", "roster_owners", "add_commitment", "add_delivery"])
def test_keeper_without_a_round_refuses(tmp_path: Path, call: str) -> None:
    scene, _ = make_owners_scene(tmp_path, real=[0])
    keeper = RoundKeeper(scene.ledger())
    calls: dict[str, Callable[[], object]] = {
        "open": keeper.open,
        "prove": keeper.prove,
        "settle": lambda: keeper.settle(None, None),  # type: ignore[arg-type]
        "task": lambda: keeper.task,
        "roster_owners": keeper.roster_owners,
        "add_commitment": lambda: keeper.add_commitment(address_of(0), bytes(32), bytes(64)),
        "add_delivery": lambda: keeper.add_delivery(address_of(0), b"", b""),
    }
    with pytest.raises(ProtocolError, match="anchor a task first"):
        calls[call]()


def test_keeper_settle_of_a_round_that_has_timed_out_reports_just_that(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=range(15))  # type: ignore[arg-type]
    keeper = RoundKeeper(scene.ledger())
    task = keeper.anchor(TASK)
    for owner in owners.values():
        commitment = owner.agent().commit(task, np.zeros(42))
        keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)
    keeper.open()
    proven = keeper.prove()
    scene.time_out()
    before = scene.state
    report = keeper.settle(proven, None)
    assert scene.state == before
    assert (report.settled, report.timed_out, len(report.paid)) == (False, True, 15)
    assert report.accepted == ()
    assert [scene.market.claimable_wei(owner.address) for owner in owners.values()] == [1_000 + 10_007 // 15] * 15
