"""The market in memory: anchor, open, settle, timeout."""

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
    NotModelOwner,
    NoTask,
    NotStaked,
    TooEarly,
    TooLate,
    TooManyUnpaid,
    Underfunded,
    UnknownGroup,
    VerificationWrongSumcheck,
    WrongRound,
    WrongStage,
)
from omnilytics_flwr.market.stage import Stage
from tests.builders import (
    MARKET,
    STRANGER,
    Scene,
    address_of,
    dictate,
    equal_distances,
    make_digest,
    make_drawn_scene,
    make_task,
    sign_hash,
)

ALL_15 = 15 * 1_000 + 10_007
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def anchored_scene(num_owners: int = 15, *, escrow_wei: int = 100_000, **terms: object) -> Scene:
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


def high_s(signature: bytes) -> bytes:
    packed = int.from_bytes(signature[32:], "big")
    s, parity = packed & (1 << 255) - 1, packed >> 255
    return signature[:32] + (SECP256K1_ORDER - s | (1 - parity) << 255).to_bytes(32, "big")


def foreign(scene: Scene, **changes: object) -> bytes:
    """Signature of the owner on place 4 for something slightly else."""
    state, seat = scene.state, scene.seats_of(0b11111)[4]
    number = scene.owners_of(0b11111)[4]
    fields = {"epoch": 1, "round": 1, "task_hash": state.task_hash, "digest": make_digest(seat, 1), "open_by": state.open_by}
    where = {"chain_id": scene.world.chain_id, "market": MARKET}
    for name, value in changes.items():
        (where if name in where else fields)[name] = value
    return sign_hash(number, Commitment(**fields).signing_hash(**where))  # type: ignore[arg-type]


BAD_SIGNATURES: dict[str, Callable[[Scene, tuple[bytes, ...]], bytes]] = {
    "of another member": lambda scene, signatures: signatures[5],
    "of a stranger": lambda scene, signatures: sign_hash(STRANGER, scene.market.commitment_hash(scene.commitments(0b11111)[0][4])),
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


def test_open_high_s_signature_raises() -> None:
    scene = anchored_scene()
    digests, signatures = scene.commitments(0b11111)
    # The other signature of the pair is valid mathematics; only those whose s fits below the parity bit can even be written.
    place = next(i for i, one in enumerate(signatures) if SECP256K1_ORDER - (int.from_bytes(one[32:], "big") & (1 << 255) - 1) < 1 << 255)
    spoiled = high_s(signatures[place])

    with pytest.raises(BadSignature) as caught:
        scene.ledger().open(1, 0b11111, digests, (*signatures[:place], spoiled, *signatures[place + 1 :]))

    assert int.from_bytes(spoiled[32:], "big") & (1 << 255) - 1 > HALF_ORDER
    assert caught.value.args[0] == scene.seats_of(0b11111)[place]


def test_open_order_swapped_raises_at_the_first_wrong_seat() -> None:
    scene = anchored_scene()
    digests, signatures = scene.commitments(0b11111)

    with pytest.raises(BadSignature) as caught:
        scene.ledger().open(1, 0b11111, digests[::-1], signatures[::-1])

    assert caught.value.args[0] == scene.seats_of(0b11111)[0]


# -------------------------------------------------------------------------------------------------------------------- settle


def test_settle_pays_the_accepted_groups_and_drops_the_outlier() -> None:
    scene = open_scene()
    roster = scene.market.storage.groups

    scene.settle(distances=distances_with_outlier(5, outlier=2))

    paid = scene.market.paid_seats(1)
    assert paid == sum(roster) - roster[2]
    assert (scene.state.owed_wei, scene.state.escrow_wei) == (12_000, 100_000 - 10_007 - 12_000)
    assert (scene.state.stage, scene.state.bond_wei, scene.surplus_wei()) == (Stage.IDLE, 10_007, 0)


def test_settle_next_task_is_anchored_in_the_same_step() -> None:
    scene = open_scene()
    now = scene.world.timestamp

    scene.settle(next_task=make_task(2))

    state = scene.state
    assert (state.stage, state.round, state.task_hash, state.open_by) == (Stage.ANCHORED, 2, make_task(2), now + 60)
    assert scene.market.paid_seats(1).bit_count() == 12


def test_settle_logs_groups_not_positions() -> None:
    scene = make_drawn_scene(20)
    scene.open(0b111110)
    distances = distances_with_outlier(3, outlier=0)

    receipt = scene.ledger().settle(1, dictate(distances, excluded=0b00010), 0b100000, bytes(32))

    # Roster 1 .. 5: position 1 is group 2, excluded; group 5 is waived; f is used up, so that all three others are accepted.
    settled = receipt.logs["Settled"]
    assert (settled["accepted"], settled["waived"], settled["excluded"]) == (0b011010, 0b100000, 0b000100)
    assert settled["paidSeats"] == scene.market.paid_seats(1) == sum(scene.market.group_seats(g) for g in (1, 3, 4, 5))


def test_settle_everything_waived_pays_everybody_without_distances() -> None:
    scene = open_scene()

    scene.settle(waived=0b11111)

    assert scene.market.paid_seats(1) == 2**15 - 1


def test_settle_no_more_groups_than_f_taking_part_accepts_none() -> None:
    scene = open_scene()

    scene.settle(waived=0b11110)

    assert scene.market.paid_seats(1) == sum(scene.market.group_seats(group) for group in range(1, 5))


def test_settle_more_than_f_excluded_raises() -> None:
    scene = open_scene()

    with pytest.raises(TooManyUnpaid) as caught:
        scene.settle(excluded=0b00011)

    assert caught.value.args == (2, 1)
    assert scene.state.stage is Stage.OPEN


def over_bound(groups: int, *long: int) -> tuple[int, ...]:
    """Distances at the bound, and one above it for the groups that are too long; all sizes are 3, so that L is 3."""
    distances = [9 * 10**6] * groups + [0] * (groups * (groups - 1) // 2)
    for group in long:
        distances[group] += 1
    return tuple(distances)


def test_settle_group_just_within_the_norm_bound_is_accepted_and_just_above_not() -> None:
    scene = open_scene()

    # Group 0 scores as low as the others and would be accepted first.
    scene.settle(distances=over_bound(5, 0))

    assert scene.market.paid_seats(1) == sum(scene.market.storage.groups[1:])


def test_settle_excluded_and_too_long_groups_count_together() -> None:
    scene = open_scene()

    with pytest.raises(TooManyUnpaid) as caught:
        scene.settle(distances=over_bound(4, 1), excluded=0b00001)

    assert caught.value.args == (2, 1)


def test_settle_norm_bound_is_on_the_common_scale_of_the_sizes() -> None:
    # 16 data owners: one group of 4, four of 3, L = 12: a mean of squared norm 10^6 has T = 144 x 10^6.
    scene = open_scene(16)
    at_bound = (144 * 10**6,) * 5 + (0,) * 10

    scene.settle(distances=at_bound)

    assert scene.market.paid_seats(1).bit_count() == 13


def test_settle_exclusion_beyond_those_taking_part_raises() -> None:
    scene = open_scene()

    for excluded in (0b00001, 1 << 5, 1 << 255):
        with pytest.raises(UnknownGroup) as caught:
            scene.ledger().settle(1, dictate(equal_distances(4), excluded), 0b00001, bytes(32))
        assert caught.value.args == (excluded, 0b11110)


@pytest.mark.parametrize("more", [-1, 1])
def test_settle_one_distance_short_or_over_raises(more: int) -> None:
    scene = open_scene()

    with pytest.raises(MarketWrongLength) as caught:
        scene.settle(distances=(0,) * (15 + more))

    assert caught.value.args == (15 + more, 15)


def test_settle_waived_group_not_on_the_roster_raises() -> None:
    scene = make_drawn_scene(18)
    scene.open(0b111110)

    with pytest.raises(UnknownGroup) as caught:
        scene.ledger().settle(1, dictate(equal_distances(5)), 0b000001, bytes(32))

    assert caught.value.args == (0b000001, 0b111110)


def test_settle_verification_refuses_raises_and_changes_nothing() -> None:
    scene = open_scene()
    before = scene.state

    with pytest.raises(VerificationWrongSumcheck):
        scene.ledger().settle(1, b"", 0, make_task(2))

    assert scene.state == before


def test_settle_by_somebody_else_or_for_another_round_raises() -> None:
    scene = open_scene()

    with pytest.raises(NotModelOwner):
        scene.ledger(0).settle(1, dictate(equal_distances(5)), 0, bytes(32))
    with pytest.raises(WrongRound):
        scene.ledger().settle(2, dictate(equal_distances(5)), 0, bytes(32))


def test_settle_at_the_deadline_is_allowed_and_one_second_later_not() -> None:
    late, just = open_scene(), open_scene()
    deadline = just.state.settle_by

    just.world.timestamp = deadline
    just.settle()
    assert just.state.stage is Stage.IDLE

    late.world.timestamp = deadline + 1
    with pytest.raises(TooLate) as caught:
        late.settle()
    assert caught.value.args == (deadline + 1, deadline)


def test_statement_binds_roster_sizes_and_task() -> None:
    scene = open_scene(17)

    statement = scene.market.statement(0b00100)

    assert statement.sizes == (4, 4, 3, 3, 3)
    assert (statement.outside, statement.polynomials, statement.update_bits) == (0b00100, 1, 8)
    assert (statement.context, statement.roster_hash) == (scene.market.settlement_context(), scene.state.roster_hash)


def test_settlement_context_differs_from_round_to_round_and_needs_a_live_one() -> None:
    scene = anchored_scene()
    first = scene.market.settlement_context()
    scene.anchor()

    assert scene.market.settlement_context() != first
    scene.ledger().close()
    with pytest.raises(WrongStage) as caught:
        scene.market.settlement_context()
    assert caught.value.args == (Stage.CLOSED, 0b011000)


# ------------------------------------------------------------------------------------------------------------------- timeout


def test_timeout_owes_everybody_the_reward_and_a_share_of_the_bond() -> None:
    scene = open_scene()

    scene.time_out()

    # 10,007 among 15 are 667 each, and 2 go back to the escrow.
    state = scene.state
    assert (scene.market.paid_seats(1), scene.market.bond_share_wei(1)) == (2**15 - 1, 667)
    assert (state.owed_wei, state.bond_wei, state.escrow_wei) == (15 * 1_667, 0, 100_000 - 10_007 - 15_000 + 2)
    assert (state.stage, scene.surplus_wei()) == (Stage.IDLE, 0)
    assert all(scene.market.claimable_wei(address_of(number)) == 1_667 for number in range(15))


def test_timeout_at_the_deadline_raises_and_one_second_later_not() -> None:
    scene = open_scene()
    deadline = scene.state.settle_by

    scene.world.timestamp = deadline
    with pytest.raises(TooEarly) as caught:
        scene.ledger(STRANGER).timeout(1)
    assert caught.value.args == (deadline, deadline + 1)

    scene.world.timestamp = deadline + 1
    scene.ledger(STRANGER).timeout(1)
    assert scene.state.stage is Stage.IDLE


def test_timeout_other_round_raises() -> None:
    scene = open_scene()
    scene.world.wait(1_000)

    with pytest.raises(WrongRound):
        scene.ledger(STRANGER).timeout(2)


def test_open_after_a_timeout_fills_the_bond_again() -> None:
    scene = open_scene()
    scene.time_out()

    scene.open()

    assert scene.state.bond_wei == 10_007
    assert scene.state.escrow_wei == 100_000 - 10_007 - 15_000 + 2 - 10_007
