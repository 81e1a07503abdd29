"""Data owners, model owners and bystanders who call what is not theirs, or out of turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.chain.market_reader import refusals
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.endpoint import NodeError
from omnilytics_flwr.market.refusals import (
    BadMaskKey,
    Leaving,
    NoTask,
    NotLeaving,
    NotModelOwner,
    NotRegistered,
    OnRoster,
    Refusal,
    TooEarly,
    WrongPayment,
    WrongStage,
)
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Address
from tests.support import bad_inputs
from tests.support.builders import make_task

from .bystanders import stranger
from .real import NO_TASK, Opened, RealMarket, mask_key, send

STAGES_TO_FREEZE = 1 << Stage.ENROLLING | 1 << Stage.IDLE | 1 << Stage.ANCHORED
STAGES_TO_CLOSE = STAGES_TO_FREEZE | 1 << Stage.FROZEN
STAGES_TO_ANCHOR = 1 << Stage.IDLE | 1 << Stage.ANCHORED


# ------------------------------------------------------------------------------------------------------------ joining, departing


KEYS = bad_inputs.LOW_ORDER_KEYS | bad_inputs.NON_CANONICAL_KEYS


@pytest.mark.parametrize("name", KEYS)
def test_join_with_a_bad_mask_key_is_refused(drawn: RealMarket, name: str) -> None:
    key, newcomer = KEYS[name].to_bytes(32, "little"), stranger(drawn)

    for ledger in (newcomer, drawn.data[0]):
        with pytest.raises(BadMaskKey) as refusal:
            ledger.join(key)
        assert refusal.value.args == (key,)


@pytest.mark.parametrize("value_wei", [0, 4_999, 5_001])
def test_join_for_another_stake_is_refused(drawn: RealMarket, value_wei: int) -> None:
    with pytest.raises(WrongPayment) as refusal:
        send(stranger(drawn), "join", mask_key(30), b"", value_wei=value_wei)

    assert refusal.value.args == (value_wei, 5_000)


def test_join_again_with_a_second_stake_is_refused(drawn: RealMarket) -> None:
    with pytest.raises(WrongPayment) as refusal:
        send(drawn.data[0], "join", mask_key(30), b"", value_wei=5_000)

    assert refusal.value.args == (5_000, 0)


def test_join_after_leaving_is_refused(drawn: RealMarket) -> None:
    ledger = drawn.data[0]
    ledger.leave()

    with pytest.raises(Leaving):
        ledger.join(mask_key(30))
    with pytest.raises(Leaving):
        ledger.leave()


def test_depart_without_notice_or_before_the_delay_is_refused(drawn: RealMarket, devnet: Devnet) -> None:
    ledger = drawn.data[0]
    with pytest.raises(NotLeaving):
        ledger.depart()
    ledger.leave()
    leave_at = ledger.owner_record(ledger.account).leave_at
    devnet.set_next_timestamp(leave_at - 1)

    with pytest.raises(TooEarly) as refusal:
        ledger.depart()

    assert refusal.value.args == (leave_at - 1, leave_at)


def test_depart_from_the_open_roster_is_refused_and_by_a_stranger_afterwards_pays_the_owner(opened: Opened, devnet: Devnet) -> None:
    """A round that nobody ends keeps everybody on its roster; the timeout lets them go, paid."""
    market, ledger, stranger = opened.market, opened.market.data[0], opened.market.data[1]
    terms = market.owner.terms()
    ledger.leave()
    devnet.set_next_timestamp(ledger.owner_record(ledger.account).leave_at)

    with pytest.raises(OnRoster) as on_roster:
        ledger.depart()
    ledger.timeout(1)
    before = market.owner.connection.balance_wei(ledger.account)
    receipt = stranger.depart(ledger.account)

    paid_wei = terms.stake_wei + terms.reward_wei + market.owner.bond_share_wei(1)
    assert on_roster.value.args == (ledger.account,)
    assert market.owner.connection.balance_wei(ledger.account) == before + paid_wei
    assert receipt.logs["Departed"]["amountWei"] == paid_wei
    assert not market.owner.state().staked & 1


def test_depart_twice_is_refused(drawn: RealMarket, devnet: Devnet) -> None:
    ledger = drawn.data[0]
    ledger.leave()
    devnet.set_next_timestamp(ledger.owner_record(ledger.account).leave_at)
    ledger.depart()

    with pytest.raises(NotRegistered):
        ledger.depart()


# ------------------------------------------------------------------------------------------------------ what only the owner may


OWNERS_OWN: dict[str, Callable[[EthereumLedger], object]] = {
    "freeze": lambda ledger: ledger.freeze(),
    "anchor": lambda ledger: ledger.anchor(make_task(1)),
    "close": lambda ledger: ledger.close(),
}


@pytest.mark.parametrize("call", OWNERS_OWN.values(), ids=OWNERS_OWN.keys())
def test_call_of_the_model_owners_by_others_is_refused(drawn: RealMarket, call: Callable[[EthereumLedger], object]) -> None:
    for ledger in (drawn.data[0], stranger(drawn)):
        with pytest.raises(NotModelOwner) as refusal:
            call(ledger)
        assert refusal.value.args == (ledger.account,)


def test_anchor_no_task_is_refused(drawn: RealMarket) -> None:
    with pytest.raises(NoTask):
        drawn.owner.anchor(NO_TASK)


@pytest.mark.parametrize(("event", "allowed"), [("freeze", STAGES_TO_FREEZE), ("close", STAGES_TO_CLOSE), ("anchor", STAGES_TO_ANCHOR)])
def test_model_owner_cannot_leave_an_open_round(opened: Opened, event: str, allowed: int) -> None:
    with pytest.raises(WrongStage) as refusal:
        OWNERS_OWN[event](opened.market.owner)

    assert refusal.value.args == (Stage.OPEN, allowed)


@pytest.mark.parametrize("value_wei", [0, 9, 11])
def test_fund_with_another_amount_is_refused(drawn: RealMarket, value_wei: int) -> None:
    with pytest.raises(WrongPayment) as refusal:
        send(drawn.owner, "fund", 10, value_wei=value_wei)

    assert refusal.value.args == (value_wei, 10)


def test_ether_sent_without_a_call_is_refused(drawn: RealMarket) -> None:
    before = drawn.owner.connection.balance_wei(drawn.owner.address)
    call = {"from": drawn.owner.account, "to": drawn.owner.address, "value": "0x1"}

    with pytest.raises(NodeError):
        drawn.owner.connection.request("eth_call", call, "latest")

    assert drawn.owner.connection.balance_wei(drawn.owner.address) == before


def test_implementation_is_closed_from_birth(devnet: Devnet, deployment: Deployment) -> None:
    """Without terms behind it the code is no market: nobody can enter, fund or draw it."""
    connection = connect(devnet.url)
    abi = artifacts.load(artifacts.MARKET).abi
    calls = {"join": (mask_key(1), b""), "fund": (0,), "freeze": (), "draw": (b"", b""), "anchor": (make_task(1),), "close": ()}

    refused = {name: refusal_of_call(connection, deployment.implementation, abi.call_data(name, *a)) for name, a in calls.items()}

    assert all(type(refusal) is WrongStage and refusal.args[0] == Stage.CLOSED for refusal in refused.values())


def refusal_of_call(connection: Connection, address: Address, data: bytes) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        connection.call(address, data, refusals())
    return refusal.value
