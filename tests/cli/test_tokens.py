"""Markets that pay in an ERC-20 token, from the command line."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.connection import Connection
from tests.chain.market_play import REWARD_WEI, create_small_market, deploy_token

from .command_line import DATA_OWNER, MODEL_OWNER, CommandLine


@pytest.fixture
def market(line: CommandLine, connection: Connection, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> EthereumLedger:
    """A market that pays in a token, named in the environment."""
    ledger = create_small_market(connection, deployment, token=deploy_token(connection))
    monkeypatch.setenv("OMNILYTICS_MARKET", ledger.address)
    return ledger


def test_token_is_allowed_and_paid_and_a_plan_shows_both_steps(line: CommandLine, market: EthereumLedger) -> None:
    token = market.terms().token
    plan = line.json("market", "fund", "5000 units", "--dry-run", *MODEL_OWNER)["transactions"]
    assert [(one["event"], one["to"], one["value_wei"]) for one in plan] == [("approve", token, "0"), ("fund", market.address, "0")]
    assert market.state().escrow_wei == 0
    sent = line.json("market", "fund", "5000 units", *MODEL_OWNER)
    assert [one["event"] for one in sent["transactions"]] == ["approve", "fund"]
    assert [one["gas"] for one in plan] == pytest.approx([one["gas"] for one in sent["transactions"]], rel=0.02)
    assert sent["escrow_wei"] == "5000"
    assert "0.000000000000005001 PLN" in line("market", "fund", "1 units", *MODEL_OWNER)
    said = line("market", "show")
    assert "0.000000000000005001 PLN" in said
    assert token in said
    assert "the market pays in a token" in line.refused("market", "fund", "1 ether", *MODEL_OWNER)


def test_stake_in_a_token_is_paid_by_joining(line: CommandLine, market: EthereumLedger) -> None:
    token = market.terms().token
    assert "is not among those allowed" in line.refused("owner", "init", "home", *DATA_OWNER)
    line("owner", "init", "home", "--policy", f'tokens=["{token}"]', *DATA_OWNER)
    assert [one["event"] for one in line.json("join", "--home", "home", "--dry-run")["transactions"]] == ["approve", "join"]
    joined = line.json("join", "--home", "home")
    assert (joined["token"], joined["stake_wei"]) == (token, str(4 * REWARD_WEI))
    said = line("wallet", "show", "--home", "home")
    assert f"{4 * REWARD_WEI:,} units" in said
    assert "ether" in said
    assert market.state().stakes_wei == 4 * REWARD_WEI
