"""The market in memory: data owners whose stake was lost."""

from __future__ import annotations

import pytest

from omnilytics_flwr.market.refusals import Full, Leaving, NotLeaving, NotStaked, OnRoster, TooEarly, WrongPayment
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import MARKET, STRANGER, WEALTH_WEI, Scene, address_of, make_mask_key

from .disputed import ACCUSATION_WEI, DEPOSIT_WEI, gain_wei, make_small_scene, number_on, seat_on


def slashed_scene(**changes: int) -> tuple[Scene, int]:
    """A market whose last round cost one data owner its stake, and that one's number; a next task is anchored."""
    scene = make_small_scene(**changes)
    scene.join()
    seat = seat_on(scene)
    scene.let_lapse(seat)
    scene.settle(next_task=bytes(31) + b"\x01")
    return scene, number_on(scene, seat)


def test_slashed_is_out_of_the_next_epoch_and_off_every_roster() -> None:
    scene, number = slashed_scene()
    seat = scene.market.owner_record(address_of(number)).seat

    assert scene.state.enrolled == 0b111_111_111_111_111_111 & ~(1 << seat)
    with pytest.raises(NotStaked) as caught:
        scene.open(0b11111)
    assert caught.value.args == (1 << seat,)


def test_slashed_pays_the_stake_again_and_is_as_before() -> None:
    scene, number = slashed_scene()
    record = scene.market.owner_record(address_of(number))

    scene.ledger(number).join(make_mask_key(number, 2))

    assert scene.market.owner_record(address_of(number)) == record
    assert (scene.state.slashed, scene.state.enrolled) == (0, scene.state.staked)
    assert scene.surplus_wei() == 0
    scene.open(0b11111)


@pytest.mark.parametrize("value_wei", [0, 4_999, 5_001])
def test_slashed_joining_without_the_stake_raises(value_wei: int) -> None:
    scene, number = slashed_scene()

    with pytest.raises(WrongPayment) as caught:
        scene.world.send(address_of(number), MARKET, "join", (make_mask_key(number, 2), b""), value_wei)

    assert caught.value.args == (value_wei, 5_000)


def test_slashed_keeps_its_seat_in_a_full_market() -> None:
    scene, number = slashed_scene(most_owners=18)

    with pytest.raises(Full):
        scene.ledger(STRANGER).join(make_mask_key(STRANGER))
    scene.ledger(number).join(make_mask_key(number, 2))

    assert scene.state.staked.bit_count() == 18


def test_slashed_keeps_its_claims_and_departs_at_once_with_them() -> None:
    scene = make_small_scene()
    scene.settle(waived=0b11111, next_task=bytes(31) + b"\x01")
    scene.open(0b11111)
    seat = seat_on(scene)
    scene.let_lapse(seat)
    number = number_on(scene, seat)
    with pytest.raises(NotLeaving):
        scene.ledger(STRANGER).depart(address_of(number))
    scene.settle()
    assert scene.market.claimable_wei(address_of(number)) == 1_000

    scene.ledger(STRANGER).depart(address_of(number))

    assert scene.world.balances[address_of(number)] == WEALTH_WEI - 5_000 + 1_000
    assert (scene.state.slashed, scene.surplus_wei()) == (0, 0)
    assert not scene.market.owner_record(address_of(number)).registered


def test_slashed_that_departed_leaves_its_seat_to_nobody_in_this_epoch() -> None:
    scene, number = slashed_scene()
    seat = scene.market.owner_record(address_of(number)).seat
    scene.ledger(number).depart()

    scene.ledger(STRANGER).join(make_mask_key(STRANGER))

    assert scene.market.owner_record(address_of(STRANGER)).seat != seat


def test_slashed_that_is_leaving_may_not_join_but_departs_at_once() -> None:
    scene, number = slashed_scene()
    scene.ledger(number).leave()

    with pytest.raises(Leaving):
        scene.ledger(number).join(make_mask_key(number, 2))
    scene.ledger(number).depart()

    assert scene.surplus_wei() == 0


def test_slashed_that_paid_again_must_leave_and_wait_like_everybody() -> None:
    scene, number = slashed_scene()
    scene.ledger(number).join(make_mask_key(number, 2))

    with pytest.raises(NotLeaving):
        scene.ledger(number).depart()
    scene.ledger(number).leave()
    with pytest.raises(TooEarly):
        scene.ledger(number).depart()


def test_slashed_again_on_the_open_roster_cannot_depart() -> None:
    scene, number = slashed_scene()
    scene.ledger(number).join(make_mask_key(number, 2))
    scene.open(0b11111)
    scene.ledger(number).leave()
    scene.world.wait(scene.terms.leave_seconds)

    with pytest.raises(OnRoster):
        scene.ledger(number).depart()


def test_lost_stakes_that_the_books_cannot_hold_are_refused_and_waiving_helps() -> None:
    scene = make_small_scene()
    scene.let_lapse(seat_on(scene))
    held = scene.market.storage
    # No account has so much ether; the books are filled by hand.
    held.escrow_wei += 2**128 - 1 - 100_000 - 4_999

    with pytest.raises(WrongPayment) as caught:
        scene.settle()
    assert caught.value.args == (5_000, 4_999)

    scene.settle(waived=1)
    assert scene.state.stage is Stage.IDLE


def test_money_that_disputes_free_waits_for_accounts_that_take_none() -> None:
    scene = make_small_scene()
    seat = seat_on(scene)
    scene.accuse(seat, deposit_wei=DEPOSIT_WEI)
    scene.world.refusing.add(address_of(number_on(scene, seat)))

    scene.answer(seat)
    scene.settle()

    assert scene.state.disputes_wei == ACCUSATION_WEI
    scene.world.refusing.clear()
    assert gain_wei(scene, number_on(scene, seat)) == ACCUSATION_WEI - 5_000
