"""The market in memory: what becomes of accusations when a round is settled or times out, and of those who lost their stake."""

from __future__ import annotations

import pytest

from omnilytics_flwr.market.dispute import BURN_ADDRESS
from omnilytics_flwr.market.refusals import (
    MarketWrongLength,
    TooManyUnpaid,
)
from omnilytics_flwr.market.roster import bitmap_of
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import MODEL_OWNER, STRANGER, dictate, equal_distances

from .disputed import ACCUSATION_WEI, DEPOSIT_WEI, FEE_WEI, gain_wei, group_of, make_open_scene, make_small_scene, number_on, seat_on

# -------------------------------------------------------------------------------------------------------------------- settle


def test_settle_with_a_lapsed_member_voids_its_group_and_pays_the_rest_of_it_from_the_stake() -> None:
    scene = make_small_scene()
    seat = seat_on(scene, 4)
    group = group_of(scene, seat)
    others = scene.market.group_seats(group) & ~(1 << seat)
    scene.accuse(seat, deposit_wei=DEPOSIT_WEI)
    scene.world.timestamp = scene.state.answer_by + 1
    escrow = scene.state.escrow_wei

    scene.settle(distances=equal_distances(4))

    state = scene.state
    assert (state.stage, state.accused, state.answer_by) == (Stage.IDLE, 0, 0)
    assert (state.slashed, state.staked >> seat & 1) == (1 << seat, 0)
    assert others & ~scene.market.paid_seats(1) == 0
    assert not scene.market.paid_seats(1) >> seat & 1
    # Four groups took part, multi-Krum left one out; three of three members are paid from the escrow, two from the stake.
    assert (escrow - state.escrow_wei, state.owed_wei) == (9_000, 11_000)
    assert state.credits_wei == 5_000 - 2_000
    assert state.disputes_wei == ACCUSATION_WEI
    assert scene.surplus_wei() == 0
    assert gain_wei(scene, MODEL_OWNER) == -100_000
    scene.ledger(STRANGER).withdraw(BURN_ADDRESS)
    assert scene.world.balances[BURN_ADDRESS] == 3_000
    assert (scene.state.disputes_wei, scene.state.credits_wei, scene.surplus_wei()) == (0, 0, 0)


def test_settle_tells_what_is_void() -> None:
    scene = make_small_scene()
    seats = (seat_on(scene, 0), seat_on(scene, 1), seat_on(scene, 5))
    scene.let_lapse(*seats)

    receipt = scene.ledger().settle(1, dictate(equal_distances(3)), 0, bytes(32))

    slashed = bitmap_of(seats)
    burned = 3 * 5_000 - (1 + 2) * 1_000
    assert receipt.logs["Voided"] == {"epoch": 1, "round": 1, "groups": 0b11, "slashedSeats": slashed, "burnedWei": burned}
    assert receipt.logs["Settled"]["paidSeats"] == scene.market.paid_seats(1)


def test_settle_all_members_of_a_group_lapsed_burns_all_their_stakes() -> None:
    scene = make_small_scene()
    scene.let_lapse(*(seat_on(scene, place) for place in range(3)))

    scene.settle()

    assert scene.state.credits_wei == 15_000
    assert scene.surplus_wei() == 0


def test_settle_every_group_void_pays_from_stakes_alone() -> None:
    scene = make_small_scene()
    scene.let_lapse(*(seat_on(scene, 3 * position) for position in range(5)))
    escrow = scene.state.escrow_wei

    scene.settle(distances=())

    assert scene.state.escrow_wei == escrow
    assert (scene.state.owed_wei, scene.state.credits_wei, scene.surplus_wei()) == (10_000, 15_000, 0)


def test_settle_with_a_distance_too_many_for_the_void_group_raises() -> None:
    scene = make_small_scene()
    scene.let_lapse(seat_on(scene))

    with pytest.raises(MarketWrongLength):
        scene.settle(distances=equal_distances(5))


def test_settle_void_groups_do_not_count_as_unpaid() -> None:
    scene = make_small_scene()
    scene.let_lapse(seat_on(scene))
    over = [10**12, 0, 0, 0] + [0] * 6
    with pytest.raises(TooManyUnpaid):
        scene.settle(distances=[10**12, 10**12, 0, 0] + [0] * 6)

    scene.settle(distances=over)

    assert scene.market.paid_seats(1).bit_count() == 9 + 2


def test_settle_while_the_answer_window_is_open_voids_nothing() -> None:
    scene = make_small_scene()
    seat = seat_on(scene)
    scene.accuse(seat, deposit_wei=DEPOSIT_WEI)
    scene.world.timestamp = scene.state.answer_by

    scene.settle(distances=equal_distances(5))

    assert scene.state.slashed == 0
    assert gain_wei(scene, number_on(scene, seat)) == FEE_WEI - 5_000
    assert gain_wei(scene, MODEL_OWNER) == -100_000 - FEE_WEI


def test_settle_waiving_the_group_of_a_lapsed_member_pays_all_of_it_and_the_fee() -> None:
    scene = make_small_scene()
    seat = seat_on(scene)
    group = group_of(scene, seat)
    scene.accuse(seat, deposit_wei=DEPOSIT_WEI)
    scene.world.timestamp = scene.state.answer_by + 1

    scene.settle(waived=1 << group)

    assert scene.market.group_seats(group) & ~scene.market.paid_seats(1) == 0
    assert (scene.state.slashed, scene.state.credits_wei) == (0, 0)
    assert gain_wei(scene, number_on(scene, seat)) == FEE_WEI - 5_000
    assert gain_wei(scene, MODEL_OWNER) == -100_000 - FEE_WEI
    assert (scene.state.disputes_wei, scene.surplus_wei()) == (0, 0)


def test_settle_after_an_answer_costs_the_model_owner_fee_and_deposit() -> None:
    scene = make_small_scene()
    seat = seat_on(scene)
    scene.accuse(seat, deposit_wei=DEPOSIT_WEI)
    scene.answer(seat)
    scene.world.timestamp = scene.state.answer_by + 1

    scene.settle()

    assert scene.state.slashed == 0
    assert gain_wei(scene, number_on(scene, seat)) == ACCUSATION_WEI - 5_000
    assert gain_wei(scene, MODEL_OWNER) == -100_000 - ACCUSATION_WEI
    assert (scene.state.disputes_wei, scene.surplus_wei()) == (0, 0)


def test_settle_after_half_an_answer_slashes_and_gives_back_what_is_left() -> None:
    scene = make_open_scene(weights=10_000)
    seat = seat_on(scene)
    scene.accuse(seat, deposit_wei=DEPOSIT_WEI + 1)
    scene.answer(seat, count=1, sender=STRANGER)
    scene.world.timestamp = scene.state.answer_by + 1

    scene.settle()

    assert scene.state.slashed == 1 << seat
    assert gain_wei(scene, STRANGER) == DEPOSIT_WEI // 2
    assert gain_wei(scene, MODEL_OWNER) == -100_000 - DEPOSIT_WEI // 2
    assert (scene.state.disputes_wei, scene.surplus_wei()) == (0, 0)


def test_settle_only_the_lapsed_of_void_groups_lose_their_stake() -> None:
    scene = make_small_scene()
    lapsed, waived, answered = seat_on(scene, 0), seat_on(scene, 3), seat_on(scene, 6)
    scene.accuse(lapsed, waived, answered)
    scene.answer(answered)
    scene.world.timestamp = scene.state.answer_by + 1

    scene.settle(waived=1 << group_of(scene, waived))

    assert scene.state.slashed == 1 << lapsed


# ------------------------------------------------------------------------------------------------------------------- timeout


def test_timeout_pays_all_but_the_lapsed_who_keep_their_stake() -> None:
    scene = make_small_scene()
    lapsed, answered = seat_on(scene, 0), seat_on(scene, 1)
    scene.accuse(lapsed, answered, deposit_wei=DEPOSIT_WEI)
    scene.answer(answered)

    scene.time_out()

    assert scene.market.paid_seats(1) == sum(scene.market.group_seats(group) for group in range(5)) & ~(1 << lapsed)
    assert scene.market.bond_share_wei(1) == 10_007 // 14
    assert (scene.state.slashed, scene.state.staked >> lapsed & 1) == (0, 1)
    assert gain_wei(scene, number_on(scene, answered)) == ACCUSATION_WEI - 5_000
    assert gain_wei(scene, MODEL_OWNER) == -100_000 - ACCUSATION_WEI
    assert (scene.state.disputes_wei, scene.surplus_wei()) == (0, 0)


def test_timeout_everybody_lapsed_gives_the_bond_back_to_the_escrow() -> None:
    scene = make_small_scene()
    scene.accuse(*(seat_on(scene, place) for place in range(15)))

    scene.time_out()

    assert scene.market.paid_seats(1) == 0
    assert (scene.state.escrow_wei, scene.state.bond_wei, scene.state.owed_wei) == (100_000, 0, 0)
    assert (gain_wei(scene, MODEL_OWNER), scene.surplus_wei()) == (-100_000, 0)


def test_accusations_are_of_one_round_only() -> None:
    scene = make_small_scene()
    seat = seat_on(scene)
    scene.accuse(seat)
    scene.settle(next_task=bytes(31) + b"\x01")
    assert scene.state.disputes_wei > 0

    scene.open(0b11111)

    assert (scene.state.accused, scene.state.answered, scene.state.answer_by) == (0, 0, 0)
    assert scene.ledger().accusation(seat).digest == bytes(32)
    scene.accuse(seat)
    scene.answer(seat)
    assert scene.state.answered == 1 << seat
