"""The market in memory: settle and timeout."""

from __future__ import annotations

import pytest

from omnilytics_flwr.market.refusals import (
    MarketWrongLength,
    NotModelOwner,
    TooEarly,
    TooLate,
    TooManyUnpaid,
    UnknownGroup,
    VerificationWrongSumcheck,
    WrongRound,
    WrongStage,
)
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import STRANGER, Scene, address_of, dictate, equal_distances, make_drawn_scene, make_task


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
