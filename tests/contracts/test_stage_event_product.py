"""Every event in every stage: what the table does not allow is refused by the contract and its oracle alike.

`tests.flower.test_stage_event` goes on with those who cause the events.
"""

from __future__ import annotations

from itertools import product
from random import Random

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.market.stage import ALLOWED, Event, Stage, stages_for
from tests.support.builders import MODEL_OWNER, STRANGER, address_of, make_mask_key, make_task
from tests.support.moves import Move, Mover

from .twin import Twin

OWNERS = 15
NO_ROUND = 999
PRODUCT = list(product(Stage, Event))

ARGUMENTS: dict[Event, tuple[object, ...]] = {
    Event.JOIN: (bytes(32), make_mask_key(3), 0, b""),
    Event.DEPART: (address_of(STRANGER),),
    Event.FUND: (0,),
    Event.DRAW: (b"", b""),
    Event.ANCHOR: (make_task(1),),
    Event.OPEN: (NO_ROUND, 0, bytes(32)),
    Event.ACCUSE: (NO_ROUND, 0, (), b""),
    Event.ANSWER: (NO_ROUND, 0, 0, b"", (), b""),
    Event.SETTLE: (NO_ROUND, b"", b"", 0, bytes(32)),
    Event.TIMEOUT: (NO_ROUND,),
    Event.CLAIM: (address_of(STRANGER), 1),
    Event.WITHDRAW: (address_of(STRANGER),),
}


def test_table_and_arguments_cover_every_event() -> None:
    assert set(ARGUMENTS) | {Event.LEAVE, Event.FREEZE, Event.CLOSE} == set(Event)
    assert len(PRODUCT) == 90
    assert sum(event not in ALLOWED[stage] for stage, event in PRODUCT) == 41


def test_market_refuses_every_pair_that_the_table_does_not_allow(free_anvil: Anvil, deployment: Deployment) -> None:
    twin = Twin(free_anvil, deployment, OWNERS)
    seen = []
    for stage in twin.life(Mover(Random(1), twin.view, OWNERS, may_lapse=False)):
        state = twin.scene.state
        assert state.stage is stage
        for event in Event:
            move = Move(MODEL_OWNER, event.value, ARGUMENTS.get(event, ()))
            # Both refuse alike, or neither does; nothing changes.
            refusal = twin.ask(move, number=twin.scene.world.number)
            seen.append((stage, event))
            if event in ALLOWED[stage]:
                assert refusal is None or refusal[0] != "WrongStage", (stage, event)
            else:
                assert refusal == ("WrongStage", (stage, stages_for(event))), (stage, event)
        assert twin.scene.state == state
        twin.assert_equal_and_solvent()
    assert sorted(seen, key=PRODUCT.index) == PRODUCT
