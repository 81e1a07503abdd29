"""The table of events: whatever it does not allow is refused, by the check, the round and the market in memory alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from omnilytics_flwr.errors import OmnilyticsError, OutOfTurn
from omnilytics_flwr.market.refusals import WrongStage
from omnilytics_flwr.market.stage import ALLOWED, Event, Stage, check_allowed, stages_for
from tests.oracle.round import Round, Step, advance
from tests.support.builders import MODEL_OWNER, Scene, address_of, make_drawn_scene, make_mask_key, make_scene, make_task

FORBIDDEN = [(stage, event) for stage, event in product(Stage, Event) if event not in ALLOWED[stage]]
PERMITTED = [(stage, event) for stage, event in product(Stage, Event) if event in ALLOWED[stage]]

ARGUMENTS: dict[Event, tuple[object, ...]] = {
    Event.JOIN: (make_mask_key(3), b""),
    Event.FUND: (0,),
    Event.DRAW: (b"", b""),
    Event.ANCHOR: (make_task(1),),
    Event.OPEN: (1, 0, (), b""),
    Event.DEPART: (address_of(0),),
    Event.ACCUSE: (1, 0, ()),
    Event.ANSWER: (1, 0, b"", 0, 0),
    Event.SETTLE: (1, b"", 0, bytes(32)),
    Event.TIMEOUT: (1,),
    Event.CLAIM: (address_of(0), 1),
    Event.WITHDRAW: (address_of(MODEL_OWNER),),
}


def scene_in(stage: Stage) -> Scene:
    """A market brought to a stage by its own functions."""
    if stage is Stage.ENROLLING:
        return make_scene()
    if stage is Stage.FROZEN:
        scene = make_scene()
        scene.join()
        scene.ledger().freeze()
        return scene
    scene = make_drawn_scene()
    if stage is Stage.ANCHORED:
        scene.anchor()
    elif stage is Stage.OPEN:
        scene.open()
    elif stage is Stage.CLOSED:
        scene.ledger().close()
    return scene


def call(scene: Scene, event: Event) -> None:
    """Ask for an event in the model owner's name."""
    arguments = ARGUMENTS.get(event, ())
    scene.world.send(address_of(MODEL_OWNER), scene.market.address, event.value, arguments)


def test_table_has_every_stage_and_withdraw_in_each() -> None:
    assert set(ALLOWED) == set(Stage)
    assert all(Event.WITHDRAW in events for events in ALLOWED.values())


@pytest.mark.parametrize(("stage", "event"), PERMITTED)
def test_check_allowed_permitted_event_passes(stage: Stage, event: Event) -> None:
    check_allowed(stage, event)

    assert stages_for(event) >> stage & 1


@pytest.mark.parametrize(("stage", "event"), FORBIDDEN)
def test_check_allowed_forbidden_event_raises_with_what_is_allowed(stage: Stage, event: Event) -> None:
    with pytest.raises(OutOfTurn) as caught:
        check_allowed(stage, event)

    assert caught.value.args == (stage.name.lower(), event.value, tuple(sorted(e.value for e in ALLOWED[stage])))
    assert not stages_for(event) >> stage & 1


@pytest.mark.parametrize(("stage", "event"), FORBIDDEN)
def test_advance_forbidden_event_raises(stage: Stage, event: Event) -> None:
    with pytest.raises(OutOfTurn):
        advance(Round(stage=stage, epoch=1, number=1), Step(event))


@pytest.mark.parametrize(("stage", "event"), FORBIDDEN)
def test_memory_market_forbidden_event_raises_and_changes_nothing(stage: Stage, event: Event) -> None:
    scene = scene_in(stage)
    before = scene.state

    with pytest.raises(WrongStage) as caught:
        call(scene, event)

    assert caught.value.args == (stage, stages_for(event))
    assert scene.state == before


@pytest.mark.parametrize(("stage", "event"), PERMITTED)
def test_memory_market_permitted_event_is_not_refused_for_its_stage(stage: Stage, event: Event) -> None:
    scene = scene_in(stage)

    try:
        call(scene, event)
    except WrongStage:
        pytest.fail(f"{event.value} is allowed in stage {stage.name.lower()}")
    except OmnilyticsError:
        pass  # whatever else is wrong with the call


AFTER = [
    (Event.FREEZE, Stage.IDLE, Step(Event.FREEZE), {"stage": Stage.FROZEN, "epoch": 2, "opened_in_epoch": 0}),
    (Event.DRAW, Stage.FROZEN, Step(Event.DRAW), {"stage": Stage.IDLE}),
    (
        Event.ANCHOR,
        Stage.IDLE,
        Step(Event.ANCHOR, task_hash=make_task(8)),
        {"stage": Stage.ANCHORED, "number": 8, "task_hash": make_task(8)},
    ),
    (
        Event.ANCHOR,
        Stage.ANCHORED,
        Step(Event.ANCHOR, task_hash=make_task(8)),
        {"number": 8, "task_hash": make_task(8)},
    ),
    (
        Event.OPEN,
        Stage.ANCHORED,
        Step(Event.OPEN, groups=0b11111),
        {"stage": Stage.OPEN, "groups": 0b11111, "opened_in_epoch": 3},
    ),
    (Event.SETTLE, Stage.OPEN, Step(Event.SETTLE), {"stage": Stage.IDLE}),
    (
        Event.SETTLE,
        Stage.OPEN,
        Step(Event.SETTLE, task_hash=make_task(8)),
        {"stage": Stage.ANCHORED, "number": 8, "task_hash": make_task(8)},
    ),
    (Event.TIMEOUT, Stage.OPEN, Step(Event.TIMEOUT), {"stage": Stage.IDLE}),
    (Event.CLOSE, Stage.ENROLLING, Step(Event.CLOSE), {"stage": Stage.CLOSED}),
    *((event, Stage.OPEN, Step(event), {}) for event in (Event.ACCUSE, Event.ANSWER)),
    *((event, Stage.IDLE, Step(event), {}) for event in (Event.JOIN, Event.LEAVE, Event.DEPART, Event.FUND)),
    *((event, Stage.CLOSED, Step(event), {}) for event in (Event.CLAIM, Event.WITHDRAW)),
]


@pytest.mark.parametrize(("event", "stage", "step", "changes"), AFTER)
def test_advance_permitted_event_leads_where_the_protocol_says(event: Event, stage: Stage, step: Step, changes: dict[str, object]) -> None:
    before = Round(stage=stage, epoch=1, number=7, opened_in_epoch=2)

    assert advance(before, step) == replace(before, **changes)  # type: ignore[arg-type]


def test_advance_leaving_a_live_round_forgets_its_task_and_groups() -> None:
    anchored = Round(Stage.ANCHORED, epoch=1, number=7, task_hash=make_task(7))
    opened = replace(anchored, stage=Stage.OPEN, groups=0b11111)

    for after in (
        advance(anchored, Step(Event.FREEZE)),
        advance(anchored, Step(Event.CLOSE)),
        advance(opened, Step(Event.TIMEOUT)),
    ):
        assert (after.task_hash, after.groups, after.live) == (bytes(32), 0, False)


@pytest.mark.parametrize(("stage", "finished"), [(Stage.IDLE, 7), (Stage.ANCHORED, 6), (Stage.OPEN, 6), (Stage.CLOSED, 7)])
def test_round_finished_counts_the_live_round_out(stage: Stage, finished: int) -> None:
    assert Round(stage, epoch=1, number=7).finished == finished
