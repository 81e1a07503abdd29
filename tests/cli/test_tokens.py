"""Markets that pay in an ERC-20 token, from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import compile as compile_
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.abi import Abi
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.reverts import PLAIN
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.terms import Address
from tests.chain.market_play import REWARD_WEI, create_small_market

from .command_line import DATA_OWNER, MODEL_OWNER, CommandLine

SUPPLY = 10**20


@pytest.fixture(scope="session")
def tokens() -> dict[str, dict[str, Any]]:
    """The tokens of the contracts' own tests, compiled."""
    compiled: dict[str, dict[str, Any]] = compile_.compile_contracts([compile_.HERE / "test" / "harness" / "Tokens.sol"])
    return compiled


def token_market(
    connection: Connection, deployment: Deployment, token: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[EthereumLedger, Address]:
    """A market in a new token, of which accounts 0 and 1 have plenty."""
    wallet, abi = dev_wallet(0, connection), Abi(token["abi"])
    send = sender_for(connection, wallet).send
    address = send("deploy", Payload(None, bytes.fromhex(token["bytecode"].removeprefix("0x"))), PLAIN).contract
    assert address is not None
    for number in (0, 1):
        send("mint", Payload(address, abi.call_data("mint", dev_wallet(number, connection).address, SUPPLY)), PLAIN)
    market = create_small_market(connection, deployment, token=address)
    monkeypatch.setenv("OMNILYTICS_MARKET", market.address)
    return market, address


def test_token_is_allowed_and_paid_and_a_plan_shows_both_steps(
    line: CommandLine, connection: Connection, deployment: Deployment, tokens: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    market, token = token_market(connection, deployment, tokens["PlainToken"], monkeypatch)
    plan = line.json("market", "fund", "5000 units", "--dry-run", *MODEL_OWNER)["transactions"]
    assert [(one["event"], one["to"], one["value_wei"]) for one in plan] == [("approve", token, "0"), ("fund", market.address, "0")]
    assert market.state().escrow_wei == 0
    sent = line.json("market", "fund", "5000 units", *MODEL_OWNER)
    assert [one["event"] for one in sent["transactions"]] == ["approve", "fund"]
    assert [one["gas"] for one in plan] == pytest.approx([one["gas"] for one in sent["transactions"]], rel=0.02)
    assert sent["escrow_wei"] == "5000"
    assert "5,001 units" in line("market", "fund", "1 units", *MODEL_OWNER)
    said = line("market", "show")
    assert "5,001 units" in said
    assert token in said
    assert "the market pays in a token" in line.refused("market", "fund", "1 ether", *MODEL_OWNER)


def test_stake_in_a_token_is_paid_by_joining(
    line: CommandLine, connection: Connection, deployment: Deployment, tokens: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    market, token = token_market(connection, deployment, tokens["PlainToken"], monkeypatch)
    assert "is not among those allowed" in line.refused("owner", "init", "home", *DATA_OWNER)
    line("owner", "init", "home", "--policy", f'tokens=["{token}"]', *DATA_OWNER)
    assert [one["event"] for one in line.json("join", "--home", "home", "--dry-run")["transactions"]] == ["approve", "join"]
    joined = line.json("join", "--home", "home")
    assert (joined["token"], joined["stake_wei"]) == (token, str(4 * REWARD_WEI))
    said = line("wallet", "show", "--home", "home")
    assert f"{4 * REWARD_WEI:,} units" in said
    assert "ether" in said
    assert market.state().stakes_wei == 4 * REWARD_WEI


def test_token_that_keeps_a_fee_is_refused_when_it_is_paid_in(
    line: CommandLine, connection: Connection, deployment: Deployment, tokens: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    market, token = token_market(connection, deployment, tokens["FeeToken"], monkeypatch)
    assert "exactly 1000" in line.refused("market", "fund", "1000 units", *MODEL_OWNER)
    line("owner", "init", "home", "--policy", f'tokens=["{token}"]', *DATA_OWNER)
    assert f"exactly {4 * REWARD_WEI}" in line.refused("join", "--home", "home")
    assert (market.state().escrow_wei, market.state().staked) == (0, 0)
