"""The market in memory: claim."""

from __future__ import annotations

import pytest

from omnilytics_flwr.market.refusals import (
    NothingToClaim,
    NotRegistered,
    PaymentFailed,
)
from tests.support.builders import STRANGER, Scene, address_of, make_drawn_scene


def leave_and_wait(scene: Scene, number: int) -> None:
    """Give notice, let the delay pass, claim what is finished."""
    scene.ledger(number).leave()
    scene.world.wait(scene.terms.leave_seconds)
    if scene.market.owner_record(address_of(number)).claimed_through < scene.market.storage.where.finished:
        scene.ledger(number).claim(address_of(number), scene.state.round)


def settled_scene(rounds: int) -> Scene:
    """A market with so many rounds settled, everybody alike, group 4 dropped in each."""
    scene = make_drawn_scene()
    for _ in range(rounds):
        scene.open()
        scene.settle()
    return scene


def test_claim_pays_every_accepted_round_once() -> None:
    scene = settled_scene(3)
    accepted, dropped = scene.owners_of(0b00001)[0], scene.owners_of(0b10000)[0]
    before = dict(scene.world.balances)

    for number in (accepted, dropped):
        scene.ledger(STRANGER).claim(address_of(number), 3)

    assert scene.world.balances[address_of(accepted)] == before[address_of(accepted)] + 3_000
    assert scene.world.balances[address_of(dropped)] == before[address_of(dropped)]
    with pytest.raises(NothingToClaim) as caught:
        scene.ledger(accepted).claim(address_of(accepted), 3)
    assert caught.value.args == (3, 3)


def test_claim_in_parts_pays_the_same() -> None:
    scene = settled_scene(3)
    number = scene.owners_of(0b00010)[0]
    amounts = []

    for through in (1, 3):
        amounts.append(scene.ledger(number).claim(address_of(number), through).logs["Claimed"]["amountWei"])

    assert amounts == [1_000, 2_000]
    assert scene.market.owner_record(address_of(number)).claimed_through == 3


def test_claim_beyond_the_last_finished_round_stops_there() -> None:
    scene = settled_scene(2)
    scene.anchor()

    receipt = scene.ledger(0).claim(address_of(0), 2**32 - 1)

    assert receipt.logs["Claimed"]["throughRound"] == 2
    with pytest.raises(NothingToClaim):
        scene.ledger(0).claim(address_of(0), 3)


def test_claim_open_round_is_not_finished() -> None:
    scene = make_drawn_scene()
    scene.open()

    with pytest.raises(NothingToClaim) as caught:
        scene.ledger(0).claim(address_of(0), 1)

    assert caught.value.args == (1, 0)


def test_claim_without_a_seat_raises() -> None:
    with pytest.raises(NotRegistered):
        settled_scene(1).ledger(0).claim(address_of(STRANGER), 1)


def test_claim_to_an_account_that_takes_no_ether_raises_and_owes_on() -> None:
    scene = settled_scene(1)
    number = scene.owners_of(0b00001)[0]
    scene.world.refusing.add(address_of(number))

    with pytest.raises(PaymentFailed):
        scene.ledger(STRANGER).claim(address_of(number), 1)

    scene.world.refusing.clear()
    assert scene.market.claimable_wei(address_of(number)) == 1_000
    scene.ledger(STRANGER).claim(address_of(number), 1)


def test_claim_after_the_seat_changed_hands_pays_the_newcomer_nothing_old() -> None:
    scene = make_drawn_scene(16, most_owners=16)
    scene.open()
    scene.settle()
    leaver = scene.owners_of(0b00001)[0]
    seat = scene.market.owner_record(address_of(leaver)).seat
    leave_and_wait(scene, leaver)
    scene.ledger(leaver).depart()
    scene.join(*(number for number in range(16) if number != leaver))
    scene.freeze_and_draw()

    scene.join(leaver)  # with the seat that was paid in round 1, as an account without a history

    assert scene.market.owner_record(address_of(leaver)).seat == seat
    assert scene.market.paid_seats(1) >> seat & 1
    assert scene.market.claimable_wei(address_of(leaver)) == 0
    with pytest.raises(NothingToClaim) as caught:
        scene.ledger(leaver).claim(address_of(leaver), 1)
    assert caught.value.args == (1, 1)


def test_claimable_of_an_account_without_a_seat_is_nothing() -> None:
    scene = make_drawn_scene()
    scene.open()
    scene.settle(waived=0b11111)

    # An account without a record must not be taken for the owner of seat 0.
    assert scene.market.claimable_wei(scene.market.storage.seat_owners[0]) == 1_000
    assert scene.market.claimable_wei(address_of(STRANGER)) == 0
