"""Plans cannot sign, and a node that cannot simulate costs a figure and nothing else."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.errors import ChainError, LedgerError
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.dry_run import AddressOnly, Planned, plan_for

from .command_line import DATA_OWNER, CommandLine


def test_address_alone_signs_nothing(market: EthereumLedger) -> None:
    watched = AddressOnly(market.account)
    with pytest.raises(ChainError, match="cannot sign"):
        watched.sign_transaction({})


def test_plan_is_never_taken_for_done(market: EthereumLedger) -> None:
    connection = connect(market.connection.endpoint.url)
    sender = plan_for(connection, market.account)
    with pytest.raises(Planned) as caught:
        EthereumLedger(connection, market.address, AddressOnly(market.account)).fund(5)
    assert [one.event for one in caught.value.transactions] == ["fund"] == [one.event for one in sender.transactions]
    assert market.state().escrow_wei == 0
    assert connection.transactions == []


def test_plan_of_what_the_market_refuses_is_refused(market: EthereumLedger) -> None:
    connection = connect(market.connection.endpoint.url)
    plan_for(connection, market.account)
    with pytest.raises(LedgerError):
        EthereumLedger(connection, market.address, AddressOnly(market.account)).leave()


def test_node_that_cannot_simulate_tells_no_credit(line: CommandLine, market: EthereumLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert market.withdrawable_wei(market.account) == (0, 0)
    monkeypatch.setattr("omnilytics_flwr.evm.dry_run._SIMULATE", "eth_simulateNothing")
    with pytest.raises(ChainError, match="cannot simulate"):
        market.withdrawable_wei(market.account)
    (held,) = line.json("wallet", "show", *DATA_OWNER)["markets"]
    assert held["credit_wei"] is held["refund_wei"] is None
