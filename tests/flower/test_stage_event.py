"""Every event in every stage, by those who cause it: keeper and strategy of the model owner, agent and mod of a data owner.

What the table does not allow they neither send nor answer; `tests.contracts.test_stage_event_product` shows that the market refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, MessageType
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.refusals import WrongStage
from omnilytics_flwr.market.stage import ALLOWED, Event, Stage
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from tests.data_owner.owners import SHORT, WEIGHTS, Owner, make_owners_scene, open_with
from tests.flower.clients import (
    Client,
    FakeGrid,
    Trainer,
    evaluate_content,
    make_client,
    make_model,
    parts_of,
    reason_of,
    settle_model,
    train_content,
)
from tests.flower.markets import waiter
from tests.model_owner.conftest import Play
from tests.support.builders import DictatedVerification, Scene, make_scene, make_task

OWNERS = 15

# -------------------------------------------------------------------------------------------------- keeper and strategy

KEPT = {Event.ANCHOR, Event.OPEN, Event.ACCUSE, Event.SETTLE}
"""What the model owner's keeper does to a market."""
PARTS = parts_of(make_model())


def make_play(folder: Path) -> Play:
    """A market whose data owners are all real; the keeper accuses who does not deliver."""
    scene, owners = make_owners_scene(folder, num_owners=OWNERS)
    return Play(scene, owners, RoundKeeper(scene.ledger(), missing="accuse", clock=Clock(waiter(scene))))


def ready_for(play: Play, event: Event) -> Callable[[], object]:
    """Lead the keeper to where it would cause an event next; the call that does."""
    if event is Event.ANCHOR:
        return lambda: play.keeper.anchor(PARTS)
    task = play.anchor_and_commit(PARTS)
    if event is Event.OPEN:
        return play.keeper.open
    if event is Event.ACCUSE:
        play.lost.add(0)
    play.open_and_deliver(task)
    if event is Event.ACCUSE:
        return play.keeper.prove
    proven = play.keeper.prove()
    return lambda: play.keeper.settle(proven, None)


def bring_to(scene: Scene, stage: Stage, owners: dict[int, Owner]) -> None:
    """Lead a drawn market to a stage behind the keeper's back, at least one event away from where it is if that is the same."""
    if scene.state.stage is Stage.OPEN and stage is not Stage.OPEN:
        scene.time_out()
    if stage is Stage.ANCHORED and scene.state.stage is not Stage.ANCHORED:
        scene.ledger().anchor(make_task(77))
    if stage in (Stage.OPEN, Stage.IDLE) and scene.state.stage is not stage:
        scene.open()
    if stage is Stage.IDLE and scene.state.stage is Stage.OPEN:
        scene.time_out()
    if stage is Stage.FROZEN:
        for number in range(scene.num_owners):
            owners[number].agent().join() if number in owners else scene.join(number)
        scene.ledger().freeze()
    if stage is Stage.CLOSED:
        scene.ledger().close()
    assert scene.state.stage is stage


def enrolling_play(folder: Path) -> Play:
    """A market that was never drawn, and a keeper that knows of no round."""
    scene = make_scene(OWNERS, escrow_wei=200_000, weights=WEIGHTS)
    return Play(scene, {}, RoundKeeper(scene.ledger(), missing="accuse", clock=Clock(waiter(scene))))


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.ENROLLING])
def test_agent_joins_in_the_stages_of_the_table_only(tmp_path: Path, stage: Stage) -> None:
    scene, owners = make_owners_scene(tmp_path, num_owners=OWNERS, real=[0])
    bring_to(scene, stage, owners)
    before = scene.state
    if Event.JOIN in ALLOWED[stage]:
        owners[0].agent().join()
        assert scene.state.enrolled >> scene.market.owner_record(owners[0].address).seat & 1
    else:
        with pytest.raises(WrongStage):
            owners[0].agent().join()
        assert scene.state == before


def assert_untouched(scene: Scene, attempt: Callable[[], object], *, refused: bool) -> None:
    """Assert that an attempt sends nothing that the market takes, and that it raises if it should."""
    state, number = scene.state, scene.world.number
    with pytest.raises(OmnilyticsError) if refused else suppress(OmnilyticsError):
        attempt()
    assert scene.state == state
    assert scene.world.number == number, "a transaction was mined"


@pytest.mark.parametrize(("stage", "event"), [(stage, event) for stage, event in product(Stage, Event) if event in KEPT])
def test_keeper_causes_an_event_in_the_stages_of_the_table_only(tmp_path: Path, stage: Stage, event: Event) -> None:
    if stage is Stage.ENROLLING:
        play = enrolling_play(tmp_path)
        calls: dict[Event, Callable[[], object]] = {
            Event.ANCHOR: lambda: play.keeper.anchor(PARTS),
            Event.OPEN: play.keeper.open,
            Event.ACCUSE: play.keeper.prove,
            Event.SETTLE: lambda: play.keeper.settle(None, None),  # type: ignore[arg-type]
        }
        return assert_untouched(play.scene, calls[event], refused=True)
    play = make_play(tmp_path)
    attempt = ready_for(play, event)
    bring_to(play.scene, stage, play.owners)
    if event not in ALLOWED[stage]:
        # A round that somebody else has opened or ended in the meantime may be reported, instead of refused; nothing is sent.
        return assert_untouched(play.scene, attempt, refused=event is Event.ANCHOR)
    number = play.scene.world.number
    attempt()
    assert play.scene.world.number > number
    outcome = {Event.ANCHOR: Stage.ANCHORED, Event.OPEN: Stage.OPEN, Event.ACCUSE: Stage.OPEN, Event.SETTLE: Stage.IDLE}
    assert play.scene.state.stage is outcome[event]
    assert bool(play.scene.state.accused) == (event is Event.ACCUSE)


@pytest.mark.parametrize("stage", [stage for stage in Stage if Event.ANCHOR not in ALLOWED[stage]])
def test_strategy_asks_nobody_to_train_where_nothing_can_be_anchored(tmp_path: Path, stage: Stage) -> None:
    play = enrolling_play(tmp_path) if stage is Stage.ENROLLING else make_play(tmp_path)
    if stage is not Stage.ENROLLING:
        bring_to(play.scene, stage, play.owners)
    trainer = Trainer(make_model())
    grid = FakeGrid({node: trainer.app(None) for node in (11, 12, 13)})
    strategy = Omnilytics(FedAvg(), ledger=play.scene.ledger(), wait=waiter(play.scene))

    assert_untouched(play.scene, lambda: list(strategy.configure_train(1, make_model(), ConfigRecord(), grid)), refused=True)

    assert not grid.requests
    assert trainer.untouched


# -------------------------------------------------------------------------------------------------- agent and mod

EXCHANGES = {"train": Stage.ANCHORED, "evaluate": Stage.ANCHORED, "deliver": Stage.OPEN}
"""The one stage in which a data owner answers each request: where a task is anchored, and where its vector is due."""
EPOCH, ROUND = 1, 2


@dataclass
class Asked:
    """A data owner that is asked for something, through its mod or at its agent; it has committed if it is to deliver."""

    client: Client
    exchange: str
    digests: tuple[bytes, ...] = ()

    @property
    def scene(self) -> Scene:
        return self.client.scene

    @property
    def task(self) -> TaskId:
        return TaskId(self.scene.world.chain_id, self.scene.market.address, EPOCH, ROUND, PARTS.task_hash(ROUND))

    def ask_agent(self) -> object:
        agent = self.client.owner.agent()
        if self.exchange == "train":
            agent.admit(self.task)
            return agent.commit(self.task, np.zeros(WEIGHTS))
        if self.exchange == "evaluate":
            return agent.admit_evaluation(self.task)
        return agent.deliver(self.scene.world.chain_id, self.scene.market.address, EPOCH, ROUND, self.digests)

    def ask_mod(self) -> object:
        if self.exchange == "deliver":
            return self.client.deliver(self.digests, epoch=EPOCH, round=ROUND)
        if self.exchange == "evaluate":
            return self.client.ask(evaluate_content(self.scene, make_model(), epoch=EPOCH, round=ROUND), MessageType.EVALUATE)
        return self.client.ask(train_content(self.scene, make_model(), epoch=EPOCH, round=ROUND))

    def journal(self) -> object:
        """What was committed to; vectors are forgotten in time."""
        return [(entry.task, entry.digest) for entry in self.client.owner.journal.entries()]


def asked_in(folder: Path, stage: Stage, exchange: str) -> Asked:
    """A data owner that is asked in a stage about a round that was once anchored."""
    if stage is Stage.ENROLLING:
        scene = make_scene(OWNERS, escrow_wei=200_000, weights=WEIGHTS)
        owner = Owner(scene, 0, folder / "owner-0", Policy.from_mapping(SHORT))
        owner.agent().join()
        return Asked(make_client(owner), exchange)
    scene, owners = make_owners_scene(folder, real=[0], verification=DictatedVerification())
    settle_model(scene, make_model())
    asked, commitments = Asked(make_client(owners[0]), exchange), []
    if exchange == "deliver":
        commitments.append(owners[0].agent().commit(asked.task, np.zeros(WEIGHTS)))
        asked.digests = (commitments[0].digest,)
    if stage in (Stage.OPEN, Stage.IDLE):
        asked.digests = open_with(scene, *commitments)
    bring_to(scene, stage, owners)
    return asked


@pytest.mark.parametrize(("stage", "exchange"), list(product(Stage, EXCHANGES)))
def test_agent_and_mod_answer_in_the_one_stage_of_each_request_only(tmp_path: Path, stage: Stage, exchange: str) -> None:
    asked = asked_in(tmp_path, stage, exchange)
    if stage is EXCHANGES[exchange]:
        assert not asked.ask_mod().has_error()  # type: ignore[attr-defined]
        assert asked_in(tmp_path / "agent", stage, exchange).ask_agent() is not None
        return
    state, journal = asked.scene.state, asked.journal()

    with pytest.raises(OmnilyticsError):
        asked.ask_agent()
    assert reason_of(asked.ask_mod())  # type: ignore[arg-type]

    assert asked.client.trainer.untouched
    assert asked.journal() == journal
    assert asked.scene.state == state
