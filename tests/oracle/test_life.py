"""The oracle's own life: what it pays against a plain tally, and random walks with its books checked after every step.

What each call does is tested on the contract (`contracts/test`); that the contract and the oracle never differ, by `tests/contracts/test_differential.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from omnilytics_flwr.errors import NotCanonical, NotFunded, OmnilyticsError, TermsError, UnknownMarket, WrongLength
from omnilytics_flwr.market.roster import bits_of
from omnilytics_flwr.market.stage import Stage
from tests.support.bad_inputs import WORD_MAX
from tests.support.builders import MARKET, WEALTH_WEI, Scene, address_of, blob_of, make_drawn_scene, make_scene
from tests.support.moves import Move
from tests.support.walk import FUNCTIONS, DisputeWalk, Walk, play, view_of

OWNERS = 24
REACHED_BY_THE_WALK = {
    *("BadMaskKey", "BadSignature", "EpochOver", "Full", "Leaving", "MarketWrongLength", "NoGroups"),
    *("NoCredit", "NoTask", "NotAccused", "NotLeaving", "NotModelOwner", "NotRegistered", "NotStaked", "NothingToClaim"),
    *("OnRoster", "TooEarly", "TooFewOwners", "TooLate", "TooManyUnpaid", "Underfunded", "UnknownGroup"),
    *("VerificationWrongOpening", "WrongHeader", "WrongOrder", "WrongPayment", "WrongRound", "WrongStage", "WrongTerms"),
}
REACHED_BY_DISPUTES = {
    *("AlreadyAccused", "BadSignature", "MarketWrongLength", "NoSeats", "NotAccused", "NotModelOwner", "NotStaked", "TooLate", "Underpaid"),
    *("UnknownSeats", "Unresolved", "WrongBlob", "WrongDigests", "WrongPoint", "WrongRound", "WrongStart"),
}


def test_three_epochs_pay_what_a_plain_tally_says() -> None:
    scene, random = make_scene(18, escrow_wei=400_000), Random(5)
    tally = dict.fromkeys(range(18), 0)
    for _ in range(3):
        scene.join()
        scene.freeze_and_draw()
        for _ in range(4):
            scene.open(random.choice([0b111111, 0b011111, 0b101111]))
            groups = list(bits_of(scene.state.groups))
            if random.random() < 0.3:
                members, bond = scene.owners_of(scene.state.groups), scene.state.bond_wei
                for number in members:
                    tally[number] += 1_000 + bond // len(members)
                scene.time_out()
            else:
                waived = 1 << random.choice(groups)
                # Every group sends the same update: of five that take part multi-Krum drops the last, of four it may drop none.
                dropped = 1 << max(group for group in groups if 1 << group != waived) if len(groups) == 6 else 0
                for number in scene.owners_of(scene.state.groups & ~dropped):
                    tally[number] += 1_000
                scene.settle(waived=waived)
    assert {number: scene.market.claimable_wei(address_of(number)) for number in tally} == tally
    for number in tally:
        scene.ledger(number).claim(address_of(number), scene.state.round)
    assert scene.state.owed_wei == scene.surplus_wei() == 0
    assert {number: scene.world.balances[address_of(number)] - WEALTH_WEI + 5_000 for number in tally} == tally


# ------------------------------------------------------------------------------------------------------------------ random walks


def random_scene(seed: int) -> Scene:
    """A market of three polynomials, exact or projected."""
    wide: dict[str, Any] = {"weights": 20_000, "most_owners": 22, "accuse_seconds": 90, "prove_seconds": 200}
    return make_scene(OWNERS, accuse_fee_wei=77, rounds_per_epoch=4, projected=seed % 2 == 1, outlier_percent=125 * (seed % 2), **wide)


def check_books(scene: Scene) -> None:
    """What holds after every step."""
    state, held = scene.state, scene.market.storage
    assert scene.surplus_wei() == 0
    assert min(state.escrow_wei, state.bond_wei, state.owed_wei, state.credits_wei, state.disputes_wei) >= 0
    assert state.owed_wei == sum(scene.market.claimable_wei(owner) for owner in held.records)
    assert state.bond_wei in (0, scene.terms.bond_wei)
    assert not state.enrolled & ~state.staked
    assert not state.staked & state.slashed
    assert state.staked + state.slashed == sum(1 << record.seat for record in held.records.values())
    assert sum(scene.world.balances.values()) == (OWNERS + 2) * WEALTH_WEI
    assert bool(state.accused) == bool(state.answer_by)
    assert not state.answered & ~state.accused
    roster = sum(held.roster_seats())
    assert not state.accused & ~roster
    if state.stage is Stage.OPEN:
        assert state.answer_by <= state.settle_by - scene.terms.prove_seconds
        assert state.escrow_wei >= roster.bit_count() * scene.terms.reward_wei
        assert state.bond_wei == scene.terms.bond_wei
        assert not roster & ~state.staked


def step(scene: Scene, walk: Walk) -> tuple[Move, OmnilyticsError | None]:
    """Play one move; if it is refused, nothing but time has passed."""
    move = walk.next_move()
    state, balances = scene.state, dict(scene.world.balances)
    refusal = play(scene, move)
    if refusal is not None:
        assert (scene.state, scene.world.balances) == (state, balances)
    check_books(scene)
    return move, refusal


@dataclass
class Reached:
    """What walks came through."""

    stages: set[Stage] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)
    slashed: int = 0

    def play(self, scene: Scene, walk: Walk, steps: int) -> None:
        """Play up to `steps` moves; end 30 moves after the market has closed."""
        afterwards = 30
        while steps and afterwards:
            move, refusal = step(scene, walk)
            self.stages.add(scene.state.stage)
            self.slashed |= scene.state.slashed
            if refusal is None:
                self.done[move.function] += 1
            else:
                self.refused.add(type(refusal).__name__)
            steps, afterwards = steps - 1, afterwards - (scene.state.stage is Stage.CLOSED)


def test_walk_reaches_every_stage_every_function_and_nearly_every_refusal() -> None:
    reached = Reached()
    for seed in range(6, 12):
        scene = random_scene(seed)
        reached.play(scene, Walk(Random(seed), view_of(scene), OWNERS), 250)
    assert reached.stages == set(Stage)
    assert set(reached.done) == set(FUNCTIONS)
    assert len(REACHED_BY_THE_WALK - reached.refused) <= 3


def test_walk_of_disputes_answers_lapses_and_reaches_nearly_all_their_refusals() -> None:
    reached = Reached()
    for seed in range(4):
        scene = random_scene(seed)
        scene.ledger().fund(300_000)
        scene.join(*range(20))
        scene.freeze_and_draw()
        reached.play(scene, DisputeWalk(Random(seed), view_of(scene), OWNERS), 240)
    assert len(REACHED_BY_DISPUTES - reached.refused) <= 2
    assert min(reached.done["accuse"], reached.done["answer"]) > 15
    assert reached.slashed


# ------------------------------------------------------------------------------------------------- the chain that it lives on


def test_restore_brings_back_every_state_as_often_as_wanted() -> None:
    scene = make_drawn_scene()
    scene.anchor()
    held, state, balances = scene.world.snapshot(), scene.state, dict(scene.world.balances)
    for _ in range(2):
        scene.open()
        scene.time_out()
        scene.ledger().claim(address_of(0), 1)
        scene.world.restore(held)
        assert (scene.state, scene.world.balances) == (state, balances)
        assert scene.market.owner_record(address_of(0)).claimed_through == 0


@pytest.mark.parametrize(
    ("blobs", "error"),
    [((blob_of(1),) * 7, WrongLength), ((blob_of(1)[:-1],), WrongLength), ((WORD_MAX + blob_of(1)[32:],), NotCanonical)],
    ids=["seven", "short", "not canonical"],
)
def test_blobs_that_no_chain_takes_raise(blobs: tuple[bytes, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        make_scene().world.send(address_of(0), MARKET, "leave", (), 0, blobs)


def test_calls_that_no_chain_takes_raise() -> None:
    scene = make_scene()
    with pytest.raises(UnknownMarket):
        scene.world.send(address_of(0), address_of(1), "leave", ())
    with pytest.raises(NotFunded):
        scene.world.send(address_of(0), MARKET, "fund", (WEALTH_WEI + 1,), WEALTH_WEI + 1)
    with pytest.raises(TermsError, match="use a chain for tokens"):
        make_scene(token=address_of(5)).world.send(address_of(0), MARKET, "fund", (1,))
