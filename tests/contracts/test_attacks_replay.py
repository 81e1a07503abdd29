"""Calls that a bystander copies from the mempool, and transactions that are sent again.

Who may call what, when, and whom it pays: `contracts/test/market`.
"""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.endpoint import NodeError
from omnilytics_flwr.market.refusals import NothingToClaim, NotModelOwner, Refusal, WrongStage

from .real_market import NO_TASK, Opened, RealMarket, send, stranger


def copied(market: RealMarket, thief: EthereumLedger, function: str, *arguments: object) -> Refusal | None:
    """What a bystander who copies a call from the mempool gets."""
    try:
        send(thief, function, *arguments)
    except Refusal as refusal:
        return refusal
    return None


def test_settle_copied_by_a_bystander_is_refused_and_does_not_hinder_the_owner(opened: Opened) -> None:
    arguments = (1, opened.settlement, b"".join(opened.round.signed(opened.waived)), opened.waived, NO_TASK)

    refusal = copied(opened.market, stranger(opened.market), "settle", *arguments)

    assert type(refusal) is NotModelOwner
    opened.market.settle(opened.round, opened.settlement, waived=opened.waived)


@pytest.mark.parametrize("function", ["claim", "timeout"])
def test_call_for_the_good_of_others_copied_by_a_bystander_does_what_it_says(opened: Opened, anvil: Anvil, function: str) -> None:
    market, ledger = opened.market, opened.market.data[0]
    anvil.set_next_timestamp(market.owner.state().settle_by + 1)
    anvil.mine()
    if function == "claim":
        market.owner.timeout(1)
    arguments: tuple[object, ...] = (ledger.account, 1) if function == "claim" else (1,)

    name = anvil.snapshot()
    assert copied(market, stranger(market), function, *arguments) is None
    overtaken = everything(market)
    anvil.revert(name)
    send(ledger, function, *arguments)

    assert everything(market) == overtaken
    assert type(copied(market, ledger, function, *arguments)) is (NothingToClaim if function == "claim" else WrongStage)


def everything(market: RealMarket) -> tuple[object, ...]:
    owner = market.owner
    records = [(owner.owner_record(ledger.account), owner.claimable_wei(ledger.account)) for ledger in market.data]
    return (owner.state(), records, owner.connection.balance_wei(owner.address))


def test_transaction_sent_again_is_not_taken(opened: Opened) -> None:
    """The very bytes of a claim, replayed by whoever saw them."""
    market, paid_seat = opened.market, opened.market.seats(1)[0][0]
    market.settle(opened.round, opened.settlement, waived=opened.waived)
    ledger = market.data[paid_seat]
    hash_ = ledger.claim(ledger.account, 1).transaction_hash
    raw = ledger.connection.request("eth_getRawTransactionByHash", hash_)

    with pytest.raises(NodeError) as refusal:
        ledger.connection.request("eth_sendRawTransaction", raw)

    assert "nonce too low" in refusal.value.message.lower() or "already imported" in refusal.value.message.lower()
    assert market.owner.state().owed_wei == market.owner.paid_seats(1).bit_count() * 1_000 - 1_000
