"""The market in memory: accuse."""

from __future__ import annotations

import pytest

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.market.dispute import accuse_by
from omnilytics_flwr.market.market_view import Accusation
from omnilytics_flwr.market.refusals import (
    AlreadyAccused,
    NoSeats,
    NotModelOwner,
    TooLate,
    Underpaid,
    UnknownSeats,
    WrongDigests,
    WrongRound,
)
from omnilytics_flwr.market.roster import bitmap_of
from tests.support.builders import MARKET, MODEL_OWNER, STRANGER, WEALTH_WEI, Scene, address_of
from tests.support.sparse import make_digest

from .disputed import COST_WEI, FEE_WEI, make_open_scene, seat_on

NOT_ACCUSED = Accusation(bytes(32), 0, 0)


def send_accuse(scene: Scene, seats: int, digests: tuple[bytes, ...], value_wei: int, **changes: int) -> None:
    sender, round_number = address_of(changes.get("sender", MODEL_OWNER)), changes.get("round_number", scene.state.round)
    scene.world.send(sender, MARKET, "accuse", (round_number, seats, digests), value_wei)


def test_accuse_books_fees_and_deposits_and_sets_one_deadline() -> None:
    scene = make_open_scene()
    one, other = seat_on(scene, 4), seat_on(scene, 9)
    digests = dict(zip(scene.seats_of(scene.state.groups), scene.digests(), strict=True))
    accused_at = scene.world.timestamp

    scene.accuse(one, other, deposit_wei=COST_WEI + 5)

    state = scene.state
    assert (state.accused, state.answered) == (bitmap_of((one, other)), 0)
    assert state.answer_by == accused_at + 600
    assert state.disputes_wei == 2 * (FEE_WEI + COST_WEI + 5)
    assert scene.surplus_wei() == 0
    assert scene.ledger().accusation(one) == Accusation(digests[one], COST_WEI + 5, 0)
    assert scene.ledger().accusation(other) == Accusation(digests[other], COST_WEI + 5, 0)
    assert scene.ledger().accusation(seat_on(scene)) == NOT_ACCUSED


def test_accuse_tells_who_and_until_when() -> None:
    scene = make_open_scene()
    seat = seat_on(scene)

    receipt = scene.ledger().accuse(1, 1 << seat, scene.digests())

    assert receipt.logs == {"Accused": {"epoch": 1, "round": 1, "seats": 1 << seat, "answerBy": scene.state.answer_by}}


def test_accuse_without_a_deposit_named_gives_a_quarter_more_than_an_answer_costs() -> None:
    scene = make_open_scene()
    assert scene.ledger(STRANGER).answer_cost_wei() == COST_WEI

    scene.accuse(seat_on(scene))

    assert scene.ledger().accusation(seat_on(scene)).deposit_wei == COST_WEI * 5 // 4
    assert scene.world.balances[address_of(MODEL_OWNER)] == WEALTH_WEI - 100_000 - FEE_WEI - COST_WEI * 5 // 4


def test_accuse_is_priced_at_the_fees_of_its_block() -> None:
    scene = make_open_scene()
    scene.world.base_fee_wei, scene.world.blob_base_fee_wei = 0, 9

    assert scene.ledger().answer_cost_wei() == 2 * 131_072 * 8 * 9
    with pytest.raises(Underpaid):
        scene.accuse(seat_on(scene), deposit_wei=2 * 131_072 * 8 * 9 - 1)


@pytest.mark.parametrize("more_wei", [0, 1, 2, 7])
def test_accuse_gives_the_model_owner_what_cannot_be_divided(more_wei: int) -> None:
    scene = make_open_scene()
    seats = [seat_on(scene, place) for place in (0, 1, 2)]

    send_accuse(scene, bitmap_of(seats), scene.digests(), 3 * (FEE_WEI + COST_WEI) + more_wei)

    assert {scene.ledger().accusation(seat).deposit_wei for seat in seats} == {COST_WEI + more_wei // 3}
    before = scene.world.balances[address_of(MODEL_OWNER)]
    if more_wei % 3:
        scene.ledger(STRANGER).withdraw(address_of(MODEL_OWNER))
    assert scene.world.balances[address_of(MODEL_OWNER)] == before + more_wei % 3
    assert scene.surplus_wei() == 0


def test_accuse_again_moves_the_deadline_of_all() -> None:
    scene = make_open_scene()
    scene.accuse(seat_on(scene))
    first = scene.state.answer_by
    scene.world.wait(30)

    scene.accuse(seat_on(scene, 1))

    assert scene.state.answer_by == first + 31
    assert scene.state.accused == bitmap_of((seat_on(scene), seat_on(scene, 1)))


@pytest.mark.parametrize("late", [False, True])
def test_accuse_until_there_is_just_time_to_answer_and_prove(late: bool) -> None:
    scene = make_open_scene()
    deadline = accuse_by(scene.state.settle_by, scene.terms)
    scene.world.timestamp = deadline + late

    if late:
        with pytest.raises(TooLate) as caught:
            scene.accuse(seat_on(scene))
        assert caught.value.args == (deadline + 1, deadline)
    else:
        scene.accuse(seat_on(scene))
        assert scene.state.answer_by == scene.state.settle_by - scene.terms.prove_seconds


def test_accuse_by_others_or_of_another_round_raises() -> None:
    scene = make_open_scene()
    seats, digests = 1 << seat_on(scene), scene.digests()

    with pytest.raises(NotModelOwner):
        send_accuse(scene, seats, digests, COST_WEI, sender=STRANGER)
    for number in (0, 2):
        with pytest.raises(WrongRound):
            send_accuse(scene, seats, digests, COST_WEI, round_number=number)


def test_accuse_nobody_or_strangers_or_members_of_other_groups_raises() -> None:
    scene = make_open_scene()
    known = sum(scene.market.storage.roster_seats())
    left_out = scene.seats_of(1 << 5)[0]

    with pytest.raises(NoSeats):
        send_accuse(scene, 0, (), 0)
    for seats in (1 << left_out, 1 << 255, 1 << left_out | 1 << seat_on(scene)):
        with pytest.raises(UnknownSeats) as caught:
            send_accuse(scene, seats, scene.digests(), 10 * COST_WEI)
        assert caught.value.args == (seats, known)


def test_accuse_with_other_digests_than_the_rosters_raises() -> None:
    scene = make_open_scene()
    digests = scene.digests()
    forged = (make_digest(250, 1, 8), *digests[1:])

    for wrong in ((), digests[:-1], (*digests, bytes(32)), digests[::-1], forged):
        with pytest.raises(WrongDigests) as caught:
            send_accuse(scene, 1 << seat_on(scene), wrong, 10 * COST_WEI)
        assert caught.value.args == (keccak256(b"".join(wrong)), scene.state.roster_hash)


def test_accuse_the_same_twice_raises_also_after_it_answered() -> None:
    scene = make_open_scene()
    one, other = seat_on(scene), seat_on(scene, 1)
    scene.accuse(one)
    scene.answer(one, count=6)
    scene.answer(one, first=6)

    with pytest.raises(AlreadyAccused) as caught:
        scene.accuse(one, other)

    assert caught.value.args == (1 << one,)


@pytest.mark.parametrize("accused", [1, 3])
def test_accuse_for_less_than_fees_and_answers_raises(accused: int) -> None:
    scene = make_open_scene()
    seats, least = bitmap_of(seat_on(scene, place) for place in range(accused)), accused * (FEE_WEI + COST_WEI)

    with pytest.raises(Underpaid) as caught:
        send_accuse(scene, seats, scene.digests(), least - 1)

    assert caught.value.args == (least - 1, least)
    send_accuse(scene, seats, scene.digests(), least)
