"""The market in memory: money, the world around it, and the ledger port."""

from __future__ import annotations

import pytest

from omnilytics_flwr.errors import NotFunded, TermsError, UnknownMarket
from omnilytics_flwr.market.refusals import NoCredit, PaymentFailed, VerificationWrongLength, WrongPayment
from tests.oracle import World
from tests.support.builders import MARKET, MODEL_OWNER, STRANGER, WEALTH_WEI, Scene, address_of, make_drawn_scene, make_scene


def send_fund(scene: Scene, amount_wei: int, value_wei: int) -> None:
    scene.world.send(address_of(STRANGER), MARKET, "fund", (amount_wei,), value_wei)


def test_fund_by_anybody_adds_to_the_escrow() -> None:
    scene = make_scene()

    receipt = scene.ledger(STRANGER).fund(700)

    assert (scene.state.escrow_wei, scene.surplus_wei()) == (700, 0)
    assert scene.world.balances[address_of(STRANGER)] == WEALTH_WEI - 700
    assert receipt.logs == {"Funded": {"from": address_of(STRANGER), "amountWei": 700}}


@pytest.mark.parametrize(("amount_wei", "value_wei"), [(700, 699), (700, 701), (0, 1), (1, 0)])
def test_fund_other_payment_raises(amount_wei: int, value_wei: int) -> None:
    scene = make_scene()

    with pytest.raises(WrongPayment) as caught:
        send_fund(scene, amount_wei, value_wei)

    assert caught.value.args == (value_wei, amount_wei)
    assert scene.world.balances[address_of(STRANGER)] == WEALTH_WEI


def test_fund_more_than_the_books_hold_raises() -> None:
    scene = make_drawn_scene(escrow_wei=100_000)
    scene.open()
    scene.settle()
    most = 2**128 - 1 - 100_000  # escrow, bond and unclaimed rewards are still what was funded; stakes do not count

    with pytest.raises(WrongPayment) as caught:
        send_fund(scene, most + 1, 0)

    assert caught.value.args == (most + 1, most)


def test_withdraw_pays_a_credit_once_whoever_calls() -> None:
    scene = make_drawn_scene(escrow_wei=100_000)
    scene.ledger().close()
    before = scene.world.balances[address_of(MODEL_OWNER)]

    scene.ledger(STRANGER).withdraw(address_of(MODEL_OWNER))

    assert scene.world.balances[address_of(MODEL_OWNER)] == before + 100_000
    assert (scene.state.credits_wei, scene.surplus_wei()) == (0, 0)
    with pytest.raises(NoCredit) as caught:
        scene.ledger().withdraw(address_of(MODEL_OWNER))
    assert caught.value.args == (address_of(MODEL_OWNER),)


def test_withdraw_to_an_account_that_takes_no_ether_keeps_the_credit() -> None:
    scene = make_drawn_scene(escrow_wei=100_000)
    scene.ledger().close()
    scene.world.refusing.add(address_of(MODEL_OWNER))

    with pytest.raises(PaymentFailed):
        scene.ledger().withdraw(address_of(MODEL_OWNER))

    assert scene.state.credits_wei == 100_000


def test_surplus_forced_ether_is_the_only_source() -> None:
    scene = make_drawn_scene()
    scene.open()

    scene.world.force(MARKET, 77)

    assert scene.surplus_wei() == 77
    scene.settle()
    assert scene.surplus_wei() == 77


def test_market_closed_and_emptied_keeps_nothing() -> None:
    scene = make_drawn_scene()
    scene.open()
    scene.time_out()
    scene.ledger().close()
    scene.ledger().withdraw(address_of(MODEL_OWNER))
    for number in range(15):
        scene.ledger(number).leave()
    scene.world.wait(scene.terms.leave_seconds)

    for number in range(15):
        if number % 2:
            scene.ledger(number).claim(address_of(number), 1)
        scene.ledger(number).depart()

    assert scene.world.balances[MARKET] == 0
    assert sum(scene.world.balances.values()) == 17 * WEALTH_WEI
    assert all(scene.world.balances[address_of(number)] == WEALTH_WEI + 1_667 for number in range(15))


# --------------------------------------------------------------------------------------------------------- world and ledger


def test_send_without_a_market_or_without_ether_raises() -> None:
    scene = make_scene()

    with pytest.raises(UnknownMarket):
        scene.world.send(address_of(0), address_of(1), "leave", ())
    with pytest.raises(NotFunded):
        send_fund(scene, WEALTH_WEI + 1, WEALTH_WEI + 1)


def test_send_mines_a_block_unless_refused() -> None:
    scene = make_scene()
    number, timestamp = scene.world.number, scene.world.timestamp

    receipt = scene.ledger().fund(1)
    assert (receipt.block, scene.world.number, scene.world.timestamp) == (number, number + 1, timestamp + 1)

    with pytest.raises(NoCredit):
        scene.ledger().withdraw(address_of(0))
    assert (scene.world.number, scene.ledger().now()) == (number + 1, timestamp + 1)


def test_restore_brings_back_every_state_as_often_as_wanted() -> None:
    scene = make_drawn_scene()
    scene.anchor()
    held, state, balances = scene.world.snapshot(), scene.state, dict(scene.world.balances)

    for _ in range(2):
        scene.open()
        scene.time_out()
        scene.ledger().claim(address_of(0), 1)
        scene.world.restore(held)
        assert (scene.state, scene.world.balances) == (state, balances)
        assert scene.market.owner_record(address_of(0)).claimed_through == 0


def test_header_given_by_another_chain_seeds_the_draw() -> None:
    one, other = make_scene(), make_scene()
    for scene in (one, other):
        scene.join()
        scene.ledger().freeze()
    other.world.headers[other.state.draw_block] = World(chain_id=5).header(9)

    one.ledger().draw()
    other.ledger().draw()

    assert one.state.epoch_seed != other.state.epoch_seed


def test_market_in_tokens_cannot_be_kept_in_memory() -> None:
    with pytest.raises(TermsError, match="use a chain for tokens"):
        make_scene(token=address_of(5))


def test_check_points_asks_the_verification() -> None:
    scene = make_scene()

    assert scene.ledger().check_points(bytes(128))
    with pytest.raises(VerificationWrongLength):
        scene.ledger().check_points(bytes(127))
