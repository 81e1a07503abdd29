"""Plans cannot sign and are never taken for done, and a node that cannot simulate costs a figure and nothing else."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.errors import ChainError, LedgerError
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.dry_run import DryRun, _Planned

from .command_line import DATA_OWNER, CommandLine


@pytest.fixture
def dry_run(market: EthereumLedger) -> DryRun:
    """A dry run of the model owner, on a connection of its own."""
    return DryRun(connect(market.connection.endpoint.url), market.account)


def test_plan_is_never_taken_for_done(market: EthereumLedger, dry_run: DryRun) -> None:
    ledger, done = EthereumLedger(dry_run, market.address), []

    def fund_and_note() -> None:
        ledger.fund(5)
        done.append("funded")

    assert [transaction.event for transaction in dry_run.plan(fund_and_note)] == ["fund"]
    assert done == []
    with pytest.raises(_Planned):
        ledger.fund(5)
    assert market.state().escrow_wei == 0
    assert dry_run.connection.transactions == []
    with pytest.raises(ChainError, match="cannot sign"):
        ledger.sender.sign_hash(bytes(32))


def test_plan_of_what_the_market_refuses_is_refused(market: EthereumLedger, dry_run: DryRun) -> None:
    with pytest.raises(LedgerError):
        dry_run.plan(EthereumLedger(dry_run, market.address).leave)


def test_node_that_cannot_simulate_tells_no_credit(line: CommandLine, market: EthereumLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert market.withdrawable_wei(market.account) == (0, 0)
    monkeypatch.setattr("omnilytics_flwr.evm.dry_run._SIMULATE", "eth_simulateNothing")
    with pytest.raises(ChainError, match="cannot simulate"):
        market.withdrawable_wei(market.account)
    (held,) = line.json("wallet", "show", *DATA_OWNER)["markets"]
    assert held["credit_wei"] is held["refund_wei"] is None
