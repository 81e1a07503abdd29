"""The market in memory: join, leave, depart."""

from __future__ import annotations

from typing import Any

import pytest

from omnilytics_flwr.market.refusals import (
    BadMaskKey,
    Full,
    Leaving,
    NotAdmitted,
    NotLeaving,
    NotRegistered,
    OnRoster,
    PaymentFailed,
    TooEarly,
    WrongPayment,
)
from tests.support.builders import STRANGER, WEALTH_WEI, Scene, address_of, make_drawn_scene, make_mask_key, make_scene

ENOUGH: dict[str, Any] = {"most_owners": 15}


def send_join(scene: Scene, number: int, mask_key: bytes, *, value_wei: int, data: bytes = b"") -> None:
    scene.world.send(address_of(number), scene.market.address, "join", (mask_key, data), value_wei)


def leave_and_wait(scene: Scene, number: int) -> None:
    """Give notice and let the delay pass."""
    scene.ledger(number).leave()
    scene.world.wait(scene.terms.leave_seconds)


# ---------------------------------------------------------------------------------------------------------------------- join


def test_join_new_owner_gets_the_lowest_seat_and_pays_the_stake() -> None:
    scene = make_scene()

    receipt = scene.ledger(7).join(make_mask_key(7))

    assert scene.state.staked == scene.state.enrolled == 0b1
    assert scene.world.balances[address_of(7)] == WEALTH_WEI - 5_000
    assert scene.state.stakes_wei == 5_000
    joined = {"owner": address_of(7), "seat": 0, "epoch": 1, "maskKey": make_mask_key(7)}
    assert receipt.logs == {"Joined": joined}


def test_join_again_replaces_the_key_and_costs_nothing() -> None:
    scene = make_scene()
    scene.join(0)

    send_join(scene, 0, make_mask_key(0, 9), value_wei=0)

    assert scene.market.storage.next_mask_keys == {0: make_mask_key(0, 9)}
    assert scene.state.staked == 0b1


def test_join_again_during_an_epoch_leaves_its_keys_alone() -> None:
    scene = make_drawn_scene()

    scene.join(3)

    assert {member.mask_key for member in scene.market.members()} == {make_mask_key(number, 1) for number in range(15)}
    assert scene.state.enrolled == 0b1000


@pytest.mark.parametrize("value_wei", [0, 4_999, 5_001])
def test_join_new_owner_other_payment_raises(value_wei: int) -> None:
    scene = make_scene()

    with pytest.raises(WrongPayment) as caught:
        send_join(scene, 0, make_mask_key(0), value_wei=value_wei)

    assert caught.value.args == (value_wei, 5_000)
    assert scene.state.staked == 0


def test_join_again_with_a_payment_raises() -> None:
    scene = make_scene()
    scene.join(0)

    with pytest.raises(WrongPayment) as caught:
        send_join(scene, 0, make_mask_key(0, 2), value_wei=5_000)

    assert caught.value.args == (5_000, 0)


LOW_ORDER = (0, 1, 2**255 - 20)


@pytest.mark.parametrize("value", [*LOW_ORDER, 2**255 - 19, 2**255 - 1, 2**255 + 9])
def test_join_unusable_mask_key_raises(value: int) -> None:
    key = value.to_bytes(32, "little")

    with pytest.raises(BadMaskKey) as caught:
        make_scene().ledger(0).join(key)

    assert caught.value.args == (key,)


def test_join_gate_says_no_raises() -> None:
    scene = make_scene(gate=lambda owner, data: data == b"member" and owner != address_of(1))

    scene.ledger(0).join(make_mask_key(0), b"member")

    for number, data in ((0, b""), (1, b"member")):
        with pytest.raises(NotAdmitted) as caught:
            scene.ledger(number).join(make_mask_key(number), data)
        assert caught.value.args == (address_of(number),)


def test_join_all_seats_taken_raises() -> None:
    scene = make_scene(16, **ENOUGH)
    scene.join(*range(15))

    with pytest.raises(Full) as caught:
        scene.join(15)

    assert caught.value.args == (15,)


def test_join_after_leave_raises_until_departed() -> None:
    scene = make_scene()
    scene.join(0)
    scene.ledger(0).leave()
    leave_at = scene.market.owner_record(address_of(0)).leave_at

    with pytest.raises(Leaving) as caught:
        send_join(scene, 0, make_mask_key(0, 2), value_wei=0)
    assert caught.value.args == (address_of(0), leave_at)

    scene.world.wait(scene.terms.leave_seconds)
    scene.ledger(0).depart()
    scene.join(0)
    assert scene.state.enrolled == 0b1


def test_seat_of_a_departed_member_is_not_given_away_within_the_epoch() -> None:
    scene = make_drawn_scene(16, **ENOUGH | {"most_owners": 16})
    leave_and_wait(scene, 4)
    scene.ledger(4).depart()

    scene.join(4)

    assert scene.market.owner_record(address_of(4)).seat == 16
    assert 4 in {member.seat for member in scene.market.members()}


def test_seat_of_a_departed_member_is_free_after_the_next_freeze() -> None:
    scene = make_drawn_scene(16, most_owners=16)
    leave_and_wait(scene, 4)
    scene.ledger(4).depart()
    scene.join(*(number for number in range(16) if number != 4))

    scene.freeze_and_draw()
    scene.join(4)

    assert scene.market.owner_record(address_of(4)).seat == 4


# ------------------------------------------------------------------------------------------------------------- leave, depart


def test_leave_takes_out_of_the_next_epoch_only() -> None:
    scene = make_drawn_scene()
    scene.join(0, 1)

    receipt = scene.ledger(0).leave()

    assert (scene.state.enrolled, scene.state.members) == (0b10, 2**15 - 1)
    assert receipt.logs["Left"]["leaveAt"] == scene.market.owner_record(address_of(0)).leave_at


def test_leave_twice_or_without_a_seat_raises() -> None:
    scene = make_scene()
    scene.join(0)
    scene.ledger(0).leave()

    with pytest.raises(Leaving):
        scene.ledger(0).leave()
    with pytest.raises(NotRegistered):
        scene.ledger(1).leave()


def test_depart_after_the_delay_pays_the_stake_back() -> None:
    scene = make_scene()
    scene.join(0)
    scene.ledger(0).leave()
    leave_at = scene.market.owner_record(address_of(0)).leave_at

    scene.world.timestamp = leave_at - 1
    with pytest.raises(TooEarly) as caught:
        scene.ledger(0).depart()
    assert caught.value.args == (leave_at - 1, leave_at)

    scene.world.timestamp = leave_at
    scene.ledger(0).depart()
    assert scene.world.balances[address_of(0)] == WEALTH_WEI
    assert not scene.market.owner_record(address_of(0)).registered
    assert scene.surplus_wei() == 0


def test_leave_delay_outlasts_every_commitment_and_round_of_then() -> None:
    scene = make_drawn_scene()
    scene.anchor()
    scene.ledger(0).leave()
    scene.world.timestamp = scene.state.open_by
    scene.open()
    leave_at = scene.market.owner_record(address_of(0)).leave_at

    assert leave_at > scene.state.settle_by
    scene.world.timestamp = leave_at
    with pytest.raises(OnRoster) as caught:
        scene.ledger(0).depart()
    assert caught.value.args == (address_of(0),)


def test_depart_without_notice_or_seat_raises() -> None:
    scene = make_scene()
    scene.join(0)

    with pytest.raises(NotLeaving):
        scene.ledger(0).depart()
    with pytest.raises(NotRegistered):
        scene.ledger(1).depart()


def test_depart_member_of_the_open_round_but_not_of_its_roster_is_allowed() -> None:
    scene = make_drawn_scene(18)
    left_out = scene.owners_of(0b100000)[0]
    scene.open(0b011111)

    scene.ledger(left_out).leave()
    scene.world.wait(scene.terms.leave_seconds)
    scene.ledger(left_out).depart()

    assert not scene.market.owner_record(address_of(left_out)).registered


def test_depart_pays_stake_and_claims_together_whoever_calls() -> None:
    scene = make_drawn_scene()
    scene.open()
    scene.settle(waived=0b11111)
    scene.ledger(0).leave()
    scene.world.wait(scene.terms.leave_seconds)

    receipt = scene.ledger(STRANGER).depart(address_of(0))

    assert receipt.logs == {"Departed": {"owner": address_of(0), "seat": 0, "amountWei": 6_000}}
    assert scene.world.balances[address_of(0)] == WEALTH_WEI + 1_000
    assert (scene.state.owed_wei, scene.surplus_wei()) == (14_000, 0)


def test_depart_to_an_account_that_takes_no_ether_raises_and_keeps_the_seat() -> None:
    scene = make_scene()
    scene.join(0)
    leave_and_wait(scene, 0)
    scene.world.refusing.add(address_of(0))

    with pytest.raises(PaymentFailed) as caught:
        scene.ledger(0).depart()

    assert caught.value.args == (address_of(0), 5_000)
    assert (scene.state.staked, scene.surplus_wei()) == (0b1, 0)
