"""The whole life of markets in memory: by hand with real proofs, and at random with the books checked after every step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from omnilytics_flwr.crypto.address import address_bytes
from omnilytics_flwr.crypto.commitment import commit, points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.fixedpoint import pack
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.masks import MaskKey, Peer, group_mask
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.market.refusals import VerificationWrongRoster, VerificationWrongSumcheck
from omnilytics_flwr.market.roster import bits_of
from omnilytics_flwr.market.stage import Stage
from tests.oracle.verification import SumcheckVerification
from tests.support.builders import MARKET, WEALTH_WEI, Scene, address_of, make_scene, sign_hash
from tests.support.moves import Move
from tests.support.walk import FUNCTIONS, DisputeWalk, Walk, play, view_of

# ------------------------------------------------------------------------------------------------------- one life, real proofs

ATTACKER = 4


def mask_key(number: int) -> MaskKey:
    return MaskKey.from_private(keccak256(b"mask key" + word(number) + word(1)))


def update_of(number: int) -> np.ndarray:
    """Quantised update (8 bits, zero is 128): small steps, and of the attacker, the largest there is."""
    units = np.full(8192, 128, dtype=np.uint64)
    units[:100] = 255 if number == ATTACKER else 128 + np.arange(100) % 3 + number % 2
    return units


def deliver(scene: Scene, group: int) -> tuple[list[FieldVector], list[bytes]]:
    """Masked vectors and points of the members of a group, by seat."""
    state, owners = scene.state, scene.owners_of(1 << group)
    peers = [Peer(address_bytes(address_of(number)), mask_key(number).public) for number in owners]
    vectors = [
        pack(update_of(number))
        + group_mask(
            mask_key(number),
            peers,
            chain_id=scene.world.chain_id,
            market=address_bytes(MARKET),
            epoch_seed=state.epoch_seed,
            epoch=state.epoch,
            round_number=state.round,
            task_hash=state.task_hash,
            polynomials=1,
        )
        for number in owners
    ]
    return vectors, [commit(vector) for vector in vectors]


def test_market_with_real_masks_and_proofs_pays_all_but_the_attackers_group() -> None:
    scene = make_scene(15, escrow_wei=100_000, verification=SumcheckVerification())
    for number in range(15):
        scene.ledger(number).join(mask_key(number).public)
    scene.freeze_and_draw()
    scene.anchor()
    delivered = [deliver(scene, group) for group in range(5)]
    points = [point for _, members in delivered for point in members]
    digests = tuple(points_digest(point) for point in points)
    signatures = tuple(
        sign_hash(number, scene.market.commitment_hash(digest)) for number, digest in zip(scene.owners_of(0b11111), digests, strict=True)
    )
    scene.ledger().open(1, 0b11111, digests, signatures)

    sums = [FieldVector.total(vectors) for vectors, _ in delivered]
    proof = prove(scene.market.statement(0), sums, [members for _, members in delivered])

    assert_refused_if_tampered(scene, proof.settlement)
    scene.ledger().settle(1, proof.settlement, 0, bytes(32))

    bad = next(group for group in range(5) if ATTACKER in scene.owners_of(1 << group))
    assert scene.market.paid_seats(1) == scene.state.members & ~scene.market.group_seats(bad)
    assert list(proof.verdict.distances) == plain_distances(scene)
    assert scene.market.claimable_wei(address_of(ATTACKER)) == 0


def assert_refused_if_tampered(scene: Scene, settlement: bytes) -> None:
    """A changed distance and a changed point are refused, and the round stays open."""
    first_value = 15 * 128 + 1
    value = int.from_bytes(settlement[first_value : first_value + 32], "big") + 1
    one_off = settlement[:first_value] + word(value) + settlement[first_value + 32 :]
    swapped = settlement[128:256] + settlement[:128] + settlement[256:]
    with pytest.raises(VerificationWrongSumcheck):
        scene.ledger().settle(1, one_off, 0, bytes(32))
    with pytest.raises(VerificationWrongRoster):
        scene.ledger().settle(1, swapped, 0, bytes(32))
    assert scene.state.stage is Stage.OPEN


def plain_distances(scene: Scene) -> list[int]:
    """Squared distances of all pairs from the plain updates, in integers; groups of 3 all, so that the scale is 3."""
    sums = [[3 * 128] * 8192]
    sums += [[int(total) for total in np.sum([update_of(number) for number in scene.owners_of(1 << group)], axis=0)] for group in range(5)]
    pairs = [(i, k) for i in range(6) for k in range(i + 1, 6)]
    return [sum((a - b) ** 2 for a, b in zip(sums[i], sums[k], strict=True)) for i, k in pairs]


def test_market_over_three_epochs_pays_what_a_plain_tally_says() -> None:
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
                # All alike: of those taking part the last is dropped.
                dropped = max(group for group in groups if 1 << group != waived)
                for number in scene.owners_of(scene.state.groups & ~(1 << dropped)):
                    tally[number] += 1_000
                scene.settle(waived=waived)

    assert {number: scene.market.claimable_wei(address_of(number)) for number in tally} == tally
    for number in tally:
        scene.ledger(number).claim(address_of(number), scene.state.round)
    assert scene.state.owed_wei == scene.surplus_wei() == 0
    assert {number: scene.world.balances[address_of(number)] - WEALTH_WEI + 5_000 for number in tally} == tally


# ------------------------------------------------------------------------------------------------------------- lives at random

OWNERS = 24


def random_scene() -> Scene:
    wide = {"weights": 20_000, "most_owners": 22, "accuse_seconds": 90, "answer_seconds": 330, "prove_seconds": 200}
    return make_scene(OWNERS, accuse_fee_wei=77, rounds_per_epoch=4, **wide)


def check_books(scene: Scene) -> None:
    """What must hold after every step."""
    state, held = scene.state, scene.market.storage
    assert scene.surplus_wei() == 0
    assert min(state.escrow_wei, state.bond_wei, state.owed_wei, state.credits_wei, state.disputes_wei) >= 0
    # What is owed is what the registered owners could claim, and at most what they can once the open round is over.
    assert state.owed_wei == sum(scene.market.claimable_wei(owner) for owner in held.records)
    assert state.bond_wei in (0, scene.terms.bond_wei)
    assert not state.enrolled & ~state.staked
    assert state.staked + state.slashed == sum(1 << record.seat for record in held.records.values())
    assert not state.staked & state.slashed
    assert len({record.seat for record in held.records.values()}) == len(held.records)
    assert sum(scene.world.balances.values()) == (OWNERS + 2) * WEALTH_WEI
    assert not state.answered & ~state.accused
    assert bool(state.accused) == bool(state.answer_by)
    if state.stage is not Stage.OPEN:
        assert not state.accused
        assert state.disputes_wei == sum(held.refunds.values())
    if state.stage is Stage.OPEN:
        assert not state.accused & ~sum(held.roster_seats())
        assert not state.answer_by > state.settle_by - scene.terms.prove_seconds
        roster = sum(seats.bit_count() for seats in held.roster_seats())
        assert state.escrow_wei >= roster * scene.terms.reward_wei
        assert state.bond_wei == scene.terms.bond_wei
        assert not sum(held.roster_seats()) & ~state.staked


def step(scene: Scene, walk: Walk) -> tuple[Move, OmnilyticsError | None]:
    """Play one move; if it is refused, nothing but time may have passed."""
    move = walk.next_move()
    state, balances = scene.state, dict(scene.world.balances)
    refusal = play(scene, move)
    if refusal is not None:
        assert (scene.state, scene.world.balances) == (state, balances)
    return move, refusal


class Life(RuleBasedStateMachine):
    """A market whose next call is always drawn anew."""

    @initialize(drawn=st.booleans())
    def begin(self, drawn: bool) -> None:
        self.scene = random_scene()
        if drawn:
            self.scene.join(*range(17))
            self.scene.ledger().fund(60_000)
            self.scene.freeze_and_draw()

    @rule(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 6))
    def walk(self, seed: int, steps: int) -> None:
        walk = Walk(Random(seed), view_of(self.scene), OWNERS)
        for _ in range(steps):
            step(self.scene, walk)
            check_books(self.scene)

    @invariant()
    def books_balance(self) -> None:
        if hasattr(self, "scene"):
            check_books(self.scene)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])

REACHED_BY_THE_WALK = {
    *("BadMaskKey", "BadSignature", "EpochOver", "Full", "Leaving", "MarketTooFewGroups", "MarketWrongLength"),
    *("NoCredit", "NoTask", "NotAccused", "NotLeaving", "NotModelOwner", "NotRegistered", "NotStaked", "NothingToClaim"),
    *("OnRoster", "TooEarly", "TooFewOwners", "TooLate", "TooManyUnpaid", "Underfunded", "UnknownGroup"),
    *("VerificationWrongSumcheck", "WrongHeader", "WrongOrder", "WrongPayment"),
    *("WrongRound", "WrongStage"),
}
REACHED_BY_DISPUTES = {
    *("AlreadyAccused", "MarketWrongLength", "NoSeats", "NotAccused", "NotModelOwner", "NotStaked", "TooLate", "Underpaid"),
    *("UnknownSeats", "WrongBlob", "WrongDigests", "WrongPoints", "WrongRound", "WrongStart"),
}


@dataclass
class Reached:
    """What walks came through."""

    stages: set[Stage] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)
    slashed: int = 0

    def play(self, scene: Scene, walk: Walk, steps: int) -> None:
        """So many steps, or less if the market is closed."""
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
        check_books(scene)


def test_walk_reaches_every_stage_every_function_and_nearly_every_refusal() -> None:
    reached = Reached()
    for seed in range(6):
        scene = random_scene()
        reached.play(scene, Walk(Random(seed), view_of(scene), OWNERS), 250)

    assert reached.stages == set(Stage)
    assert set(reached.done) == set(FUNCTIONS)
    assert len(REACHED_BY_THE_WALK - reached.refused) <= 3


def test_walk_of_disputes_answers_and_lapses_and_reaches_nearly_all_their_refusals() -> None:
    reached = Reached()
    for seed in range(3):
        scene = random_scene()
        scene.ledger().fund(300_000)
        scene.join(*range(20))
        scene.freeze_and_draw()
        reached.play(scene, DisputeWalk(Random(seed), view_of(scene), OWNERS), 240)

    assert len(REACHED_BY_DISPUTES - reached.refused) <= 2
    assert min(reached.done["accuse"], reached.done["answer"]) > 15
    assert reached.slashed


def test_walk_with_the_same_seed_is_the_same() -> None:
    moves = []
    for _ in range(2):
        scene = random_scene()
        walk = Walk(Random(3), view_of(scene), OWNERS)
        moves.append([replace(step(scene, walk)[0]) for _ in range(60)])

    assert moves[0] == moves[1]
