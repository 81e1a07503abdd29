"""Any call of a market, right, wrong or malformed, is taken or refused with an error of our tree, and the books balance."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnilytics_flwr.crypto.address import parse_address
from omnilytics_flwr.errors import LedgerError
from omnilytics_flwr.market.stage import Event, Stage
from tests.oracle.functions import FUNCTIONS
from tests.oracle.verification import SumcheckVerification
from tests.support.builders import MODEL_OWNER, Scene, address_of, make_drawn_scene, make_scene
from tests.support.sparse import make_points

WORDS = st.binary(min_size=32, max_size=32)
NUMBERS32 = st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1))
BITMAPS = st.one_of(st.integers(0, 2**16 - 1), st.sampled_from([0b11111, 2**253, 2**255, 2**256 - 1]), st.integers(0, 2**256 - 1))
ADDRESSES = st.one_of(st.integers(0, 15).map(address_of), st.binary(min_size=20, max_size=20).map(parse_address))
BYTES = st.one_of(st.binary(max_size=200), st.sampled_from([make_points(0, 1), bytes(64 * 15), bytes(128 * 15 + 1)]))
ARGUMENTS: dict[Event, st.SearchStrategy[tuple[object, ...]]] = {
    Event.JOIN: st.tuples(WORDS, BYTES),
    Event.DEPART: st.tuples(ADDRESSES),
    Event.FUND: st.tuples(st.integers(0, 2**256 - 1)),
    Event.DRAW: st.tuples(BYTES, BYTES),
    Event.ANCHOR: st.tuples(WORDS),
    Event.OPEN: st.tuples(NUMBERS32, BITMAPS, st.lists(WORDS, max_size=16).map(tuple), BYTES),
    Event.ACCUSE: st.tuples(NUMBERS32, BITMAPS, st.lists(WORDS, max_size=16).map(tuple)),
    Event.ANSWER: st.tuples(NUMBERS32, st.integers(0, 255), BYTES, st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)),
    Event.SETTLE: st.tuples(NUMBERS32, BYTES, BITMAPS, WORDS),
    Event.TIMEOUT: st.tuples(NUMBERS32),
    Event.CLAIM: st.tuples(ADDRESSES, NUMBERS32),
    Event.WITHDRAW: st.tuples(ADDRESSES),
}
CALLS = st.sampled_from(list(Event)).flatmap(lambda event: st.tuples(st.just(event), ARGUMENTS.get(event, st.just(()))))


def test_calls_cover_every_function_of_the_market() -> None:
    assert {event.value for event in Event} == set(FUNCTIONS)
    assert set(Event) == set(ARGUMENTS) | {Event.LEAVE, Event.FREEZE, Event.CLOSE}


@pytest.fixture(scope="module")
def scenes() -> dict[Stage, Scene]:
    """A market in each stage, with the verification of the contract."""
    made = {Stage.ENROLLING: make_scene(verification=SumcheckVerification())}
    for stage in (Stage.FROZEN, Stage.IDLE, Stage.ANCHORED, Stage.OPEN, Stage.CLOSED):
        scene = make_drawn_scene(verification=SumcheckVerification())
        if stage is Stage.FROZEN:
            scene.join()
            scene.ledger().freeze()
            scene.world.mine(5)
        if stage in (Stage.ANCHORED, Stage.OPEN):
            scene.anchor()
        if stage is Stage.OPEN:
            scene.open()
            scene.accuse(0, 1)
        if stage is Stage.CLOSED:
            scene.ledger().close()
        made[stage] = scene
    return made


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    stage=st.sampled_from(list(Stage)),
    call=CALLS,
    sender=st.sampled_from([0, MODEL_OWNER]),
    value_wei=st.integers(0, 2**20),
    late=st.booleans(),
)
def test_market_takes_any_call_or_refuses_it_and_keeps_its_books(
    scenes: dict[Stage, Scene], stage: Stage, call: tuple[Event, tuple[object, ...]], sender: int, value_wei: int, late: bool
) -> None:
    scene, (event, arguments) = scenes[stage], call
    held, state, balances = scene.world.snapshot(), scene.state, dict(scene.world.balances)
    scene.world.wait(1000 * late)
    try:
        value_wei = value_wei if event in (Event.JOIN, Event.FUND, Event.ACCUSE) else 0
        scene.world.send(address_of(sender), scene.market.address, event.value, arguments, value_wei)
    except LedgerError:
        assert (scene.state, scene.world.balances) == (state, balances)
    assert scene.surplus_wei() == 0
    scene.world.restore(held)
