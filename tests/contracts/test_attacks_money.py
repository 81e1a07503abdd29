"""Timeouts and claims too early, too late, twice, for others, and copied by bystanders."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.endpoint import NodeError
from omnilytics_flwr.market.refusals import (
    NoCredit,
    NothingToClaim,
    NotModelOwner,
    NotRegistered,
    Refusal,
    TooEarly,
    WrongRound,
    WrongStage,
)
from omnilytics_flwr.market.stage import Stage

from .bystanders import member_of, settled, stranger
from .real import NO_TASK, Opened, RealMarket, send

LATEST_ROUND = 2**32 - 1


# ------------------------------------------------------------------------------------------------------------------- deadlines


def test_timeout_up_to_the_deadline_is_refused(opened: Opened, devnet: Devnet) -> None:
    market, settle_by = opened.market, opened.market.owner.state().settle_by
    devnet.set_next_timestamp(settle_by)

    with pytest.raises(TooEarly) as refusal:
        market.data[0].timeout(1)

    assert refusal.value.args == (settle_by, settle_by + 1)


def test_timeout_after_the_deadline_pays_everybody_once(opened: Opened, devnet: Devnet) -> None:
    market, terms = opened.market, opened.market.owner.terms()
    devnet.set_next_timestamp(market.owner.state().settle_by + 1)

    logs = stranger(market).timeout(1).logs["TimedOut"]

    share = terms.bond_wei // 19
    assert (logs["paidSeats"], logs["bondShareWei"]) == ((1 << 19) - 1, share)
    assert {market.owner.claimable_wei(ledger.account) for ledger in market.data} == {terms.reward_wei + share}
    with pytest.raises(WrongStage) as refusal:
        market.data[0].timeout(1)
    assert refusal.value.args == (Stage.IDLE, 1 << Stage.OPEN)


def test_timeout_after_settling_is_refused(opened: Opened, devnet: Devnet) -> None:
    settle_by = opened.market.owner.state().settle_by
    market = settled(opened)
    devnet.set_next_timestamp(settle_by + 1)

    with pytest.raises(WrongStage):
        market.data[0].timeout(1)


@pytest.mark.parametrize("number", [0, 2, LATEST_ROUND])
def test_timeout_of_another_round_is_refused(opened: Opened, number: int) -> None:
    with pytest.raises(WrongRound) as refusal:
        opened.market.data[0].timeout(number)

    assert refusal.value.args == (number, 1)


# ---------------------------------------------------------------------------------------------------------------------- claims


def test_claim_twice_is_refused(opened: Opened) -> None:
    market, account = settled(opened), opened.market.data[0].account
    market.owner.claim(account, 1)

    for through in (1, LATEST_ROUND):
        with pytest.raises(NothingToClaim) as refusal:
            market.owner.claim(account, through)
        assert refusal.value.args == (through, 1)


@pytest.mark.parametrize("through", [0, 1, 2, LATEST_ROUND])
def test_claim_before_the_round_is_finished_is_refused(opened: Opened, through: int) -> None:
    with pytest.raises(NothingToClaim) as refusal:
        opened.market.data[0].claim(opened.market.data[0].account, through)

    assert refusal.value.args == (through, 0)


def test_claim_through_future_rounds_does_not_skip_them(opened: Opened) -> None:
    market, ledger = settled(opened), member_of(opened.market, 0)
    ledger.claim(ledger.account, LATEST_ROUND)
    assert ledger.owner_record(ledger.account).claimed_through == 1

    round_ = market.open(lambda group, place: opened.round.deliveries[0][0], masks=False)
    market.settle(round_, waived=0b111111)

    assert ledger.claimable_wei(ledger.account) == ledger.terms().reward_wei


def test_claim_for_another_pays_that_other(opened: Opened) -> None:
    market, reward_wei = settled(opened), opened.market.owner.terms().reward_wei
    owner, thief = member_of(market, 0).account, stranger(market)
    balances = [market.owner.connection.balance_wei(account) for account in (owner, thief.account)]

    fee_wei = thief.claim(owner, 1).fee_wei

    assert [market.owner.connection.balance_wei(account) for account in (owner, thief.account)] == [
        balances[0] + reward_wei,
        balances[1] - fee_wei,
    ]


def test_claim_by_a_member_of_the_excluded_group_pays_nothing(opened: Opened) -> None:
    market, spoiler = settled(opened), member_of(opened.market, 1)
    state = market.owner.state()

    logs = spoiler.claim(spoiler.account, 1).logs["Claimed"]

    assert logs["amountWei"] == 0
    assert market.owner.state() == state


def test_claim_by_a_stranger_is_refused(opened: Opened) -> None:
    thief = stranger(settled(opened))

    with pytest.raises(NotRegistered) as refusal:
        thief.claim(thief.account, 1)

    assert refusal.value.args == (thief.account,)
    assert thief.claimable_wei(thief.account) == 0


def test_withdraw_without_a_credit_is_refused(opened: Opened) -> None:
    with pytest.raises(NoCredit):
        opened.market.owner.withdraw(opened.market.owner.account)


# --------------------------------------------------------------------------------------------------------- replays, front-running


def copied(market: RealMarket, thief: EthereumLedger, function: str, *arguments: object) -> Refusal | None:
    """What a bystander who copies a call from the mempool gets."""
    try:
        send(thief, function, *arguments)
    except Refusal as refusal:
        return refusal
    return None


def test_settle_copied_by_a_bystander_is_refused_and_does_not_hinder_the_owner(opened: Opened) -> None:
    arguments = (1, opened.settlement, opened.waived, NO_TASK)

    refusal = copied(opened.market, stranger(opened.market), "settle", *arguments)

    assert type(refusal) is NotModelOwner
    settled(opened)


@pytest.mark.parametrize("function", ["claim", "timeout"])
def test_call_for_the_good_of_others_copied_by_a_bystander_does_what_it_says(opened: Opened, devnet: Devnet, function: str) -> None:
    market, ledger = opened.market, opened.market.data[0]
    devnet.set_next_timestamp(market.owner.state().settle_by + 1)
    devnet.mine()
    if function == "claim":
        market.owner.timeout(1)
    arguments: tuple[object, ...] = (ledger.account, 1) if function == "claim" else (1,)

    name = devnet.snapshot()
    assert copied(market, stranger(market), function, *arguments) is None
    overtaken = everything(market)
    devnet.revert(name)
    send(ledger, function, *arguments)

    assert everything(market) == overtaken
    assert type(copied(market, ledger, function, *arguments)) is (NothingToClaim if function == "claim" else WrongStage)


def everything(market: RealMarket) -> tuple[object, ...]:
    owner = market.owner
    records = [(owner.owner_record(ledger.account), owner.claimable_wei(ledger.account)) for ledger in market.data]
    return (owner.state(), records, owner.connection.balance_wei(owner.address))


def test_transaction_sent_again_is_not_taken(opened: Opened) -> None:
    """The very bytes of a claim, replayed by whoever saw them."""
    market, ledger = settled(opened), member_of(opened.market, 0)
    hash_ = ledger.claim(ledger.account, 1).transaction_hash
    raw = ledger.connection.request("eth_getRawTransactionByHash", hash_)

    with pytest.raises(NodeError) as refusal:
        ledger.connection.request("eth_sendRawTransaction", raw)

    assert "nonce too low" in refusal.value.message.lower() or "already imported" in refusal.value.message.lower()
    assert market.owner.state().owed_wei == market.owner.paid_seats(1).bit_count() * 1_000 - 1_000
