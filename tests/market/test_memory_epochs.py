"""The market in memory: freeze, draw, close."""

from __future__ import annotations

import pytest

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.market.draw import draw_order
from omnilytics_flwr.market.refusals import (
    DrawLapsed,
    DrawTooEarly,
    MarketWrongLength,
    NotModelOwner,
    TooEarly,
    TooFewOwners,
    UnevenGroups,
    WrongHeader,
    WrongOrder,
)
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import MODEL_OWNER, STRANGER, Scene, address_of, make_drawn_scene, make_mask_key, make_scene


def frozen_scene(num_owners: int = 15) -> Scene:
    scene = make_scene(num_owners)
    scene.join()
    scene.ledger().freeze()
    return scene


def due_scene() -> tuple[Scene, bytes, bytes]:
    """A frozen market after its draw's block, with the right header and order."""
    scene = frozen_scene()
    scene.world.mine(2)
    header = scene.world.header(scene.state.draw_block)
    owners = {member.seat: member.owner for member in scene.market.members()}
    return scene, header, bytes(draw_order(scene.market.draw_seed(header), owners))


def send_draw(scene: Scene, header: bytes, order: bytes) -> None:
    scene.world.send(address_of(STRANGER), scene.market.address, "draw", (header, order))


# -------------------------------------------------------------------------------------------------------------------- freeze


def test_freeze_turns_the_enrolled_into_members_and_names_a_block() -> None:
    scene = make_scene()
    scene.join()
    number = scene.world.number

    receipt = scene.ledger().freeze()

    state = scene.state
    assert (state.stage, state.epoch, state.members, state.enrolled) == (Stage.FROZEN, 1, 2**15 - 1, 0)
    assert state.draw_block == number + 2
    assert receipt.logs == {"Frozen": {"epoch": 1, "members": 2**15 - 1, "drawBlock": number + 2}}


def test_freeze_by_somebody_else_raises() -> None:
    with pytest.raises(NotModelOwner) as caught:
        make_scene().ledger(0).freeze()

    assert caught.value.args == (address_of(0),)


def test_freeze_one_owner_short_raises() -> None:
    scene = make_scene()
    scene.join(*range(14))

    with pytest.raises(TooFewOwners) as caught:
        scene.ledger().freeze()

    assert caught.value.args == (14, 15)


def test_freeze_owners_that_cannot_be_cut_evenly_raises() -> None:
    scene = make_scene(41, most_owners=42, group_size=7, stake_wei=8_000, accuse_seconds=999, answer_seconds=999, prove_seconds=999)
    scene.join()

    with pytest.raises(UnevenGroups) as caught:
        scene.ledger().freeze()

    assert caught.value.args == (41, 7)


def test_freeze_leaves_out_who_did_not_enrol_again() -> None:
    scene = make_drawn_scene(18)
    scene.join(*range(2, 18))

    scene.freeze_and_draw()

    assert {member.owner for member in scene.market.members()} == {address_of(number) for number in range(2, 18)}
    assert {member.mask_key for member in scene.market.members()} == {make_mask_key(number, 2) for number in range(2, 18)}


def test_freeze_with_a_task_anchored_abandons_its_round() -> None:
    scene = make_drawn_scene()
    scene.anchor()
    scene.join()

    scene.ledger().freeze()

    assert (scene.state.round, scene.state.task_hash, scene.market.storage.where.finished) == (1, bytes(32), 1)


# ---------------------------------------------------------------------------------------------------------------------- draw


def test_draw_right_header_and_order_gives_the_groups() -> None:
    scene, header, order = due_scene()

    send_draw(scene, header, order)

    assert scene.state.stage is Stage.IDLE
    assert scene.state.epoch_seed == scene.market.draw_seed(header)
    assert [scene.market.group_seats(group) for group in range(5)] == [
        sum(1 << seat for seat in order[3 * group : 3 * group + 3]) for group in range(5)
    ]
    assert scene.market.group_seats(5) == 0


def test_draw_seed_is_bound_to_the_epoch() -> None:
    scene, header, _ = due_scene()
    first = scene.market.draw_seed(header)
    scene.ledger().draw()
    scene.join()
    scene.ledger().freeze()

    assert scene.market.draw_seed(header) != first


def test_draw_before_its_block_is_past_raises() -> None:
    scene = frozen_scene()
    scene.world.mine(1)
    draw_block = scene.state.draw_block

    with pytest.raises(DrawTooEarly) as caught:
        send_draw(scene, scene.world.header(draw_block), b"")

    assert scene.world.number == draw_block
    assert caught.value.args == (draw_block, draw_block)


def test_draw_in_the_last_block_of_history_is_allowed() -> None:
    scene, header, order = due_scene()
    scene.world.number = scene.state.draw_block + 8191

    send_draw(scene, header, order)

    assert scene.state.stage is Stage.IDLE


def test_draw_after_the_block_left_history_raises() -> None:
    scene, header, order = due_scene()
    draw_block = scene.state.draw_block
    scene.world.number = draw_block + 8192

    with pytest.raises(DrawLapsed) as caught:
        send_draw(scene, header, order)

    assert caught.value.args == (draw_block + 8192, draw_block)


def test_draw_header_of_another_block_raises() -> None:
    scene, header, order = due_scene()
    other = scene.world.header(scene.state.draw_block - 1)

    with pytest.raises(WrongHeader) as caught:
        send_draw(scene, other, order)

    assert caught.value.args == (keccak256(other), keccak256(header))


def test_draw_a_member_left_out_raises() -> None:
    scene, header, order = due_scene()

    with pytest.raises(MarketWrongLength) as caught:
        send_draw(scene, header, order[:-1])

    assert caught.value.args == (14, 15)


BAD_ORDERS = {
    "two swapped": (lambda order: order[:4] + order[5:6] + order[4:5] + order[6:], 5),
    "reversed": (lambda order: order[::-1], 1),
    "one twice, one left out": (lambda order: order[:8] + order[7:8] + order[9:], 8),
    "not a member": (lambda order: order[:-1] + bytes([200]), 14),
    "no seat at all": (lambda order: bytes([255]) + order[1:], 0),
}


@pytest.mark.parametrize(("spoil", "place"), BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
def test_draw_wrong_order_raises_at_the_place(spoil, place: int) -> None:  # type: ignore[no-untyped-def]
    scene, header, order = due_scene()

    with pytest.raises(WrongOrder) as caught:
        send_draw(scene, header, spoil(order))

    assert caught.value.args == (place,)


def test_draw_names_the_member_that_departed_in_between() -> None:
    scene = frozen_scene(16)
    scene.ledger(3).leave()
    scene.world.wait(scene.terms.leave_seconds)
    scene.ledger(3).depart()

    scene.ledger(STRANGER).draw()

    assert address_of(3) in {member.owner for member in scene.market.members()}
    assert scene.state.members & ~scene.state.staked == 1 << 3


# --------------------------------------------------------------------------------------------------------------------- close


def test_close_credits_escrow_and_bond_to_the_model_owner() -> None:
    scene = make_drawn_scene(escrow_wei=100_000)
    scene.open()
    scene.settle()

    receipt = scene.ledger().close()

    # Twelve rewards are owed, the rest comes back: escrow and bond.
    assert receipt.logs == {"Closed": {"creditWei": 88_000}}
    assert (scene.state.escrow_wei, scene.state.bond_wei, scene.state.credits_wei, scene.state.owed_wei) == (
        0,
        0,
        88_000,
        12_000,
    )
    assert scene.surplus_wei() == 0


def test_close_by_somebody_else_raises() -> None:
    with pytest.raises(NotModelOwner):
        make_drawn_scene().ledger(0).close()


@pytest.mark.parametrize("number", [MODEL_OWNER, STRANGER])
def test_close_frozen_market_waits_until_the_draw_has_lapsed(number: int) -> None:
    scene = frozen_scene()
    lapsed = scene.state.draw_block + 8192

    scene.world.number = lapsed - 1
    with pytest.raises(TooEarly) as caught:
        scene.ledger(number).close()
    assert caught.value.args == (lapsed - 1, lapsed)
    assert "blocks if a frozen market is to be closed" in str(caught.value)

    scene.world.number = lapsed
    scene.ledger(number).close()
    assert scene.state.stage is Stage.CLOSED


def test_close_empty_market_credits_nothing() -> None:
    scene = make_scene()

    scene.ledger().close()

    assert scene.market.storage.credits == {}
