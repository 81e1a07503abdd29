"""The market in memory: anchor and open."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.market.commitment_message import HALF_ORDER, Commitment
from omnilytics_flwr.market.refusals import (
    BadSignature,
    EpochOver,
    MarketTooFewGroups,
    MarketWrongLength,
    NoTask,
    NotModelOwner,
    NotStaked,
    TooLate,
    Underfunded,
    UnknownGroup,
    WrongRound,
)
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import MARKET, STRANGER, Scene, address_of, make_digest, make_drawn_scene, make_task, sign_hash

ALL_15 = 15 * 1_000 + 10_007
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def anchored_scene(num_owners: int = 15, *, escrow_wei: int = 100_000, **terms: int) -> Scene:
    scene = make_drawn_scene(num_owners, escrow_wei=escrow_wei, **terms)
    scene.anchor()
    return scene


def open_scene(num_owners: int = 15) -> Scene:
    scene = anchored_scene(num_owners)
    scene.open()
    return scene


def distances_with_outlier(groups: int, outlier: int) -> tuple[int, ...]:
    """Distances of groups that are alike but for one far away."""
    pairs = [(i, k) for i in range(groups + 1) for k in range(i + 1, groups + 1)]
    return tuple(100 if outlier + 1 in pair else 1 for pair in pairs)


# -------------------------------------------------------------------------------------------------------------------- anchor


def test_anchor_starts_the_next_round_and_its_commitment_window() -> None:
    scene = make_drawn_scene()
    now = scene.world.timestamp

    scene.ledger().anchor(make_task(1))

    state = scene.state
    assert (state.stage, state.round, state.task_hash, state.open_by) == (Stage.ANCHORED, 1, make_task(1), now + 60)


def test_anchor_again_gives_the_old_round_up() -> None:
    scene = anchored_scene()

    scene.ledger().anchor(make_task(2))

    assert (scene.state.round, scene.market.storage.where.finished, scene.market.paid_seats(1)) == (2, 1, 0)


def test_anchor_without_task_or_by_somebody_else_raises() -> None:
    scene = make_drawn_scene()

    with pytest.raises(NoTask):
        scene.ledger().anchor(bytes(32))
    with pytest.raises(NotModelOwner):
        scene.ledger(0).anchor(make_task(1))


# ---------------------------------------------------------------------------------------------------------------------- open


def test_open_locks_the_bond_and_starts_the_settlement_window() -> None:
    scene = anchored_scene()
    digests, _ = scene.commitments(0b11111)
    now = scene.world.timestamp

    scene.open()

    state = scene.state
    assert (state.stage, state.groups, state.opened_in_epoch) == (Stage.OPEN, 0b11111, 1)
    assert (state.escrow_wei, state.bond_wei) == (100_000 - 10_007, 10_007)
    assert state.settle_by == now + 80 + 300 + 140
    assert state.roster_hash == keccak256(b"".join(digests))


def test_open_next_round_leaves_a_full_bond_alone() -> None:
    scene = open_scene()
    scene.settle(next_task=make_task(2))

    scene.open()

    assert scene.state.bond_wei == 10_007


def test_open_escrow_that_just_covers_rewards_and_bond_is_enough() -> None:
    scene = anchored_scene(escrow_wei=ALL_15)

    scene.open()

    assert scene.state.escrow_wei == 15_000


def test_open_escrow_one_short_raises() -> None:
    scene = anchored_scene(escrow_wei=ALL_15 - 1)

    with pytest.raises(Underfunded) as caught:
        scene.open()

    assert caught.value.args == (ALL_15 - 1, ALL_15)


def test_open_at_the_deadline_is_allowed_and_one_second_later_not() -> None:
    late, just = anchored_scene(), anchored_scene()
    deadline = just.state.open_by

    just.world.timestamp = deadline
    just.open()
    assert just.state.stage is Stage.OPEN

    late.world.timestamp = deadline + 1
    with pytest.raises(TooLate) as caught:
        late.open()
    assert caught.value.args == (deadline + 1, deadline)


@pytest.mark.parametrize("named", [0, 2])
def test_open_other_round_raises(named: int) -> None:
    scene = anchored_scene()

    with pytest.raises(WrongRound) as caught:
        scene.ledger().open(named, 0b11111, *scene.commitments(0b11111))

    assert caught.value.args == (named, 1)


def test_open_by_somebody_else_raises() -> None:
    scene = anchored_scene()

    with pytest.raises(NotModelOwner):
        scene.ledger(0).open(1, 0b11111, *scene.commitments(0b11111))


def test_open_after_the_last_round_of_the_epoch_raises() -> None:
    scene = anchored_scene(rounds_per_epoch=2)
    for _ in range(2):
        scene.open()
        scene.settle()
    scene.anchor()

    with pytest.raises(EpochOver) as caught:
        scene.open()

    assert caught.value.args == (2,)


@pytest.mark.parametrize("stray", [5, 200, 255])
def test_open_group_that_does_not_exist_raises(stray: int) -> None:
    scene = anchored_scene()
    groups = 0b11111 | 1 << stray

    with pytest.raises(UnknownGroup) as caught:
        scene.ledger().open(1, groups, *scene.commitments(0b11111))

    assert caught.value.args == (groups, 0b11111)


def test_open_fewer_than_2f_plus_3_groups_raises() -> None:
    scene = anchored_scene()

    with pytest.raises(MarketTooFewGroups) as caught:
        scene.open(0b01111)

    assert caught.value.args == (4, 5)


def test_open_with_a_departed_member_raises_and_without_its_group_not() -> None:
    scene = make_drawn_scene(18)
    scene.ledger(0).leave()
    scene.world.wait(scene.terms.leave_seconds)
    scene.ledger(0).depart()
    group = next(group for group in range(6) if 0 in scene.owners_of(1 << group))
    scene.anchor()

    with pytest.raises(NotStaked) as caught:
        scene.open()
    assert caught.value.args == (1 << 0,)

    scene.open(0b111111 & ~(1 << group))
    assert scene.state.stage is Stage.OPEN


def test_open_digest_or_signature_missing_or_too_many_raises() -> None:
    scene = anchored_scene()
    digests, signatures = scene.commitments(0b11111)

    cases = [
        (digests[1:], signatures, (14, 15)),
        ((*digests, digests[0]), signatures, (16, 15)),
        (digests, signatures[1:], (14 * 64, 15 * 64)),
        (digests, (*signatures, bytes(64)), (16 * 64, 15 * 64)),
        (digests, (*signatures[1:], signatures[0][1:]), (15 * 64 - 1, 15 * 64)),
    ]
    for bad_digests, bad_signatures, facts in cases:
        with pytest.raises(MarketWrongLength) as caught:
            scene.ledger().open(1, 0b11111, bad_digests, bad_signatures)
        assert caught.value.args == facts


def low_s(signature: bytes) -> int:
    return int.from_bytes(signature[32:], "big") & (1 << 255) - 1


def foreign(scene: Scene, **changes: object) -> bytes:
    """Signature of the owner on place 4 for something slightly else."""
    state, seat = scene.state, scene.seats_of(0b11111)[4]
    number = scene.owners_of(0b11111)[4]
    fields = {
        "epoch": 1,
        "round": 1,
        "task_hash": state.task_hash,
        "digest": make_digest(seat, 1),
        "open_by": state.open_by,
    }
    where = {"chain_id": scene.world.chain_id, "market": MARKET}
    for name, value in changes.items():
        (where if name in where else fields)[name] = value
    return sign_hash(number, Commitment(**fields).signing_hash(**where))  # type: ignore[arg-type]


BAD_SIGNATURES: dict[str, Callable[[Scene, tuple[bytes, ...]], bytes]] = {
    "of another member": lambda scene, signatures: signatures[5],
    "of a stranger": lambda scene, signatures: sign_hash(STRANGER, scene.market.commitment_hash(scene.commitments(0b11111)[0][4])),
    "high s": lambda scene, signatures: signatures[4][:32] + (HALF_ORDER + 1).to_bytes(32, "big"),
    # The other signature of the pair, s negated: it needs the bit that the parity has here.
    "negated s": lambda scene, signatures: signatures[4][:32] + (SECP256K1_ORDER - low_s(signatures[4])).to_bytes(32, "big"),
    "zero": lambda scene, signatures: bytes(64),
    "flipped parity": lambda scene, signatures: signatures[4][:32] + bytes([signatures[4][32] ^ 0x80]) + signatures[4][33:],
    "other digest": lambda scene, signatures: foreign(scene, digest=make_digest(99, 1)),
    "other round": lambda scene, signatures: foreign(scene, round=2),
    "other epoch": lambda scene, signatures: foreign(scene, epoch=2),
    "other task": lambda scene, signatures: foreign(scene, task_hash=make_task(9)),
    "other deadline": lambda scene, signatures: foreign(scene, open_by=scene.state.open_by + 1),
    "other chain": lambda scene, signatures: foreign(scene, chain_id=1),
    "other market": lambda scene, signatures: foreign(scene, market=address_of(STRANGER)),
}


@pytest.mark.parametrize("spoil", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES.keys())
def test_open_bad_signature_raises_with_seat_and_owner(spoil: Callable[[Scene, tuple[bytes, ...]], bytes]) -> None:
    scene = anchored_scene()
    digests, signatures = scene.commitments(0b11111)
    seat = scene.seats_of(0b11111)[4]

    with pytest.raises(BadSignature) as caught:
        scene.ledger().open(1, 0b11111, digests, (*signatures[:4], spoil(scene, signatures), *signatures[5:]))

    assert caught.value.args == (seat, scene.market.storage.seat_owners[seat])
    assert scene.state.stage is Stage.ANCHORED


def test_open_order_swapped_raises_at_the_first_wrong_seat() -> None:
    scene = anchored_scene()
    digests, signatures = scene.commitments(0b11111)

    with pytest.raises(BadSignature) as caught:
        scene.ledger().open(1, 0b11111, digests[::-1], signatures[::-1])

    assert caught.value.args[0] == scene.seats_of(0b11111)[0]
