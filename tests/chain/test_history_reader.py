"""What reached a market, read from a chain: directly, through other contracts, in tokens, from nodes that refuse or forget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from omnilytics_flwr.audit.auditor import Auditor
from omnilytics_flwr.audit.history import MarketCall
from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.chain.history_reader import HistoryReader, gate_of, read_history, verification_of
from omnilytics_flwr.chain.market_reader import MarketReader
from omnilytics_flwr.errors import ChainError
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.messages import Voucher, sign_voucher
from omnilytics_flwr.market.terms import Address
from tests.evm.tiny_contracts import deployed, send
from tests.support.nodes import FaultyNode

from .market_play import create_small_market, deploy_token, mask_key

REFUSED = {"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": "not here"}}


@pytest.fixture
def market(connection: Connection, deployment: Deployment) -> EthereumLedger:
    """A new market."""
    return create_small_market(connection, deployment)


@pytest.fixture
def forwarded(connection: Connection, wallet: Wallet, market: EthereumLedger) -> Address:
    """A contract that has passed a payment of 5 wei into the escrow on."""
    forwarder = deployed(
        connection, wallet, bytes.fromhex(f"36 5f 5f 37 5f 5f 36 5f 34 73{market.address[2:]}5a f1 15 60 25 57 00 5b 5f 5f fd")
    )
    send(connection, wallet, Payload(forwarder, artifacts.load(artifacts.MARKET).abi.call_data("fund", 5), 5))
    return forwarder


def found_in(reader: MarketReader) -> object:
    """What an audit finds."""
    return Auditor(read_history(reader), verification_of(reader), gate_of(reader)).run().finding


def test_call_through_another_contract_is_read_from_its_trace(market: EthereumLedger, forwarded: Address) -> None:
    history = read_history(market)

    assert history.transactions[-1].calls == (MarketCall(forwarded, "fund", (5,), 5),)
    assert found_in(market) is None


def test_call_through_another_contract_is_unseen_without_traces(market: EthereumLedger, forwarded: Address, node: FaultyNode) -> None:
    node.falsifying["debug_traceTransaction"] = lambda _: REFUSED
    history = read_history(MarketReader(connect(node.url), market.address))

    assert history.transactions[-1].calls is None


def test_reading_goes_on_block_by_block(anvil: Anvil, market: EthereumLedger) -> None:
    reader = HistoryReader(market)
    market.fund(1)
    assert [one.calls for one in reader.read_through(market.block_number)] == [(MarketCall(market.account, "fund", (1,), 1),)]
    assert reader.read_through(market.block_number) == ()
    market.fund(2)
    anvil.mine(3)
    assert [one.calls for one in reader.read_through(market.block_number)] == [(MarketCall(market.account, "fund", (2,), 2),)]


def test_node_that_refuses_long_spans_of_logs_is_asked_for_shorter_ones(market: EthereumLedger, node: FaultyNode) -> None:
    market.fund(1)
    expected = read_history(market).transactions
    refusals = iter([True] * 9)
    node.falsifying["eth_getLogs"] = lambda answer: REFUSED if next(refusals, False) else answer

    assert read_history(MarketReader(connect(node.url), market.address)).transactions == expected


def test_node_that_refuses_all_logs_is_told_in_a_sentence(market: EthereumLedger, node: FaultyNode) -> None:
    node.falsifying["eth_getLogs"] = lambda _: REFUSED

    with pytest.raises(ChainError, match="not here"):
        read_history(MarketReader(connect(node.url), market.address))


@pytest.mark.parametrize("method", ["eth_getLogs", "eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getBlockByNumber"])
@pytest.mark.parametrize("lie", [7, "0x", {}, [{}], {"transactionHash": "0x1"}], ids=str)
def test_node_that_answers_nonsense_is_told_in_a_sentence(market: EthereumLedger, node: FaultyNode, method: str, lie: object) -> None:
    market.fund(1)
    reader = MarketReader(connect(node.url), market.address)
    node.falsifying[method] = lambda answer: {**answer, "result": lie}

    try:
        transactions = read_history(reader).transactions
    except ChainError:
        return
    # Without a transaction its trace tells the call; without logs there is none.
    assert all(one.calls in (None, (MarketCall(market.account, "fund", (1,), 1),)) for one in transactions)


def test_market_in_tokens_is_audited_with_its_transfers(connection: Connection, deployment: Deployment) -> None:
    token = deploy_token(connection)
    owner = create_small_market(connection, deployment, token=token)
    EthereumLedger(sender_for(connection, dev_wallet(1, connection)), owner.address).join(mask_key(0))
    owner.fund(777)
    history = read_history(owner)
    *others, funded = history.transactions

    assert found_in(owner) is None
    assert [one.amount for one in funded.transfers] == [777]
    short = replace(history, transactions=(*others, replace(funded, transfers=())))
    assert "of the market's token moved none" in str(Auditor(short, verification_of(owner)).run().finding)
    poor = replace(history, end=replace(history.end, token_balance=history.end.token_balance - 1))
    assert "units; expected" in str(Auditor(poor, verification_of(owner)).run().finding)


def test_vouchers_are_judged_again(connection: Connection, deployment: Deployment) -> None:
    owner = create_small_market(connection, deployment, admission=deployment.gate)
    data = EthereumLedger(sender_for(connection, dev_wallet(1, connection)), owner.address)
    voucher = Voucher(owner.address, data.account, 1)
    data.join(mask_key(0), sign_voucher(owner.sender, voucher, chain_id=owner.chain_id, gate=deployment.gate))
    history = read_history(owner)

    assert found_in(owner) is None
    (joined,) = history.transactions
    assert joined.calls is not None
    forged: Any = joined.calls[0].arguments[-1]
    for shown in (forged[:-1], forged[:3] + b"\x09" + forged[4:], b"\0\0\0\0" + forged[4:]):
        call = replace(joined.calls[0], arguments=(*joined.calls[0].arguments[:-1], shown))
        changed = replace(history, transactions=(replace(joined, calls=(call,)),))
        assert "admission contract refused" in str(Auditor(changed, verification_of(owner), gate_of(owner)).run().finding)
    report = Auditor(history, verification_of(owner)).run()
    assert report.finding is None
    assert "whom the admission contract" in report.unseen[0]
