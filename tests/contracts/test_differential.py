"""The memory ledger is the specification of the contract: both are driven by the same calls, and never differ."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.market.dispute import BURN_ADDRESS
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import MODEL_OWNER, STRANGER, address_of, make_mask_key, make_task
from tests.support.moves import Move, Mover
from tests.support.walk import DisputeWalk, Walk

from .proven_walk import ProvenMover, ProvenWalk
from .twin import Twin

OWNERS = 18
WIDE = {"weights": 20_000, "prove_seconds": 200, "accuse_fee_wei": 77}
"""Three polynomials, so that an answer may come in parts."""
HISTORY_BLOCKS = 8191
AFTER_CLOSING = 25


def open_a_round(twin: Twin, mover: Mover) -> None:
    """From nothing to an open round; not one of these calls may fail."""
    joins = [Move(n, "join", (make_mask_key(n), b""), twin.scene.terms.stake_wei) for n in range(16)]
    moves = [*joins, Move(MODEL_OWNER, "fund", (200_000,), 200_000), Move(MODEL_OWNER, "freeze")]
    for move in moves:
        assert twin.play(move).refusal is None
    # The first attempt waits for the block, whose header nobody can know before.
    assert twin.play(mover.draw(twin.scene.state)).refusal is not None
    assert twin.play(mover.draw(twin.scene.state)).refusal is None
    assert twin.play(Move(MODEL_OWNER, "anchor", (make_task(1),))).refusal is None
    assert twin.play(mover.open_with(twin.scene.state, twin.scene.all_groups())).refusal is None
    twin.assert_equal_and_solvent()


def wind_up(twin: Twin, mover: Mover) -> None:
    """End the market from wherever it is; everybody takes out what is theirs, and only what was forced in is left."""
    for stage, move in {Stage.OPEN: mover.timeout, Stage.FROZEN: mover.draw}.items():
        # A draw may have to wait for its block first.
        for _ in range(2):
            if twin.scene.state.stage is stage:
                twin.play(move(twin.scene.state))
    if twin.scene.state.stage is not Stage.CLOSED:
        assert twin.play(Move(MODEL_OWNER, "close")).refusal is None
    for number in twin.numbers:
        record = twin.scene.ledger().owner_record(address_of(number))
        if number % 2 and record.registered and record.claimed_through < twin.scene.state.round:
            assert twin.play(Move(STRANGER, "claim", (address_of(number), 2**32 - 1))).refusal is None
        if record.registered:
            wait_seconds = 0
            if not mover.slashed(number):
                if not record.leave_at:
                    assert twin.play(Move(number, "leave")).refusal is None
                wait_seconds = twin.scene.ledger().owner_record(address_of(number)).leave_at - twin.scene.ledger().now()
            assert twin.play(Move(STRANGER, "depart", (address_of(number),), wait_seconds=max(0, wait_seconds))).refusal is None
    for account in (*map(address_of, twin.numbers), BURN_ADDRESS):
        outcome = twin.play(Move(STRANGER, "withdraw", (account,)))
        assert outcome.refusal is None or outcome.refusal[0] == "NoCredit"
    twin.assert_equal_and_solvent()
    assert twin.connection.balance_wei(twin.scene.market.address) == twin.forced_wei


def walk(twin: Twin, walk: Walk, random: Random, steps: int) -> Counter[str]:
    """Play random moves and compare after each, until a while after the market is closed; how often what was refused, "" for success."""
    outcomes: Counter[str] = Counter()
    afterwards = AFTER_CLOSING
    while outcomes.total() < steps and afterwards:
        if random.random() < 0.05:
            twin.force(random.randrange(10**6))
        outcome = twin.play(walk.next_move())
        outcomes[outcome.refusal[0] if outcome.refusal else ""] += 1
        twin.assert_equal_and_solvent()
        afterwards -= twin.scene.state.stage is Stage.CLOSED
    return outcomes


def walk_dictated(devnet: Devnet, deployment: Deployment, seed: int, steps: int, kind: type[Walk] = Walk) -> Counter[str]:
    """Random lives of markets, one after the other."""
    outcomes, random = Counter[str](), Random(seed)
    while outcomes.total() < steps:
        twin = Twin(devnet, deployment, OWNERS, **WIDE)
        mover = Mover(random, twin.view, OWNERS, may_lapse=False)
        open_a_round(twin, mover)
        outcomes += walk(twin, kind(random, twin.view, OWNERS, may_lapse=False), random, steps - outcomes.total())
        wind_up(twin, mover)
    return outcomes


def walk_proven(devnet: Devnet, deployment: Deployment, seed: int, steps: int) -> Counter[str]:
    """The same with real proofs."""
    outcomes, random = Counter[str](), Random(seed)
    while outcomes.total() < steps:
        twin = Twin(devnet, deployment, OWNERS, proven=True, accuse_fee_wei=77)
        mover = ProvenMover(random, twin.view, twin.scene)
        open_a_round(twin, mover)
        assert twin.play(mover.settle(twin.scene.state)).refusal is None
        outcomes += walk(twin, ProvenWalk(random, twin.view, twin.scene), random, steps - outcomes.total())
        wind_up(twin, mover)
    return outcomes


@pytest.mark.parametrize("seed", range(3))
def test_random_walk_with_dictated_verdicts_never_differs(free_devnet: Devnet, deployment: Deployment, seed: int) -> None:
    outcomes = walk_dictated(free_devnet, deployment, seed, 120)

    assert outcomes[""] > 30
    assert len(outcomes) > 5


@pytest.mark.parametrize("seed", range(2))
def test_random_walk_of_disputes_never_differs(free_devnet: Devnet, deployment: Deployment, seed: int) -> None:
    outcomes = walk_dictated(free_devnet, deployment, seed, 100, DisputeWalk)

    assert outcomes[""] > 30
    assert len(outcomes) > 8


@pytest.mark.parametrize("seed", range(2))
def test_random_walk_with_real_proofs_never_differs(free_devnet: Devnet, deployment: Deployment, seed: int) -> None:
    outcomes = walk_proven(free_devnet, deployment, seed, 45)

    assert outcomes[""] > 10
    assert len(outcomes) > 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 106))
def test_long_random_walk_with_dictated_verdicts_never_differs(free_devnet: Devnet, deployment: Deployment, seed: int) -> None:
    outcomes = walk_dictated(free_devnet, deployment, seed, 800)

    assert len(outcomes) > 12


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 104))
def test_long_random_walk_of_disputes_never_differs(free_devnet: Devnet, deployment: Deployment, seed: int) -> None:
    outcomes = walk_dictated(free_devnet, deployment, seed, 800, DisputeWalk)

    assert len(outcomes) > 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 103))
def test_long_random_walk_with_real_proofs_never_differs(free_devnet: Devnet, deployment: Deployment, seed: int) -> None:
    outcomes = walk_proven(free_devnet, deployment, seed, 400)

    assert len(outcomes) > 8


def test_ether_sent_by_a_contract_that_ends_itself_changes_nothing_but_the_balance(free_devnet: Devnet, deployment: Deployment) -> None:
    twin = Twin(free_devnet, deployment, OWNERS)
    open_a_round(twin, Mover(Random(1), twin.view, OWNERS, may_lapse=False))
    before, market = twin.scene.state, twin.scene.market.address

    twin.end_a_contract(777)

    assert (twin.forced_wei, twin.connection.balance_wei(market)) == (777, twin.scene.world.balances[market])
    twin.assert_equal_and_solvent()
    assert twin.scene.state == before


@pytest.mark.parametrize("late", [False, True])
def test_draw_and_close_at_the_end_of_history_never_differ(free_devnet: Devnet, deployment: Deployment, late: bool) -> None:
    twin = Twin(free_devnet, deployment, OWNERS)
    for number in range(15):
        twin.play(Move(number, "join", (make_mask_key(number), b""), twin.scene.terms.stake_wei))
    twin.play(Move(MODEL_OWNER, "freeze"))
    mover = Mover(Random(1), twin.view, OWNERS, may_lapse=False)
    draw_block = twin.scene.state.draw_block
    twin.play(mover.draw(twin.scene.state))
    draw, close = mover.draw(twin.scene.state), Move(STRANGER, "close")
    last = draw_block + HISTORY_BLOCKS

    outcomes = [twin.ask(move, number=last + late) for move in (draw, close)]

    drawn = ("DrawLapsed", (last + 1, draw_block)) if late else None
    closed = None if late else ("TooEarly", (last, last + 1))
    assert outcomes == [drawn, closed]
