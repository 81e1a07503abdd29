"""Markets that pay in a token: exactly what is due is allowed, when it is due."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import compile as compile_
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.errors import ChainError, Malformed, NotFunded, OmnilyticsError
from omnilytics_flwr.evm.abi import Abi
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.erc20 import allow, allowance_wei, balance_wei
from omnilytics_flwr.evm.reverts import PLAIN
from omnilytics_flwr.evm.rpc_values import BadAnswer
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market import refusals
from omnilytics_flwr.market.terms import Address

from .market_play import REWARD_WEI, create_small_market, mask_key

SUPPLY = 10**18
STAKE = 4 * REWARD_WEI


@pytest.fixture(scope="session")
def tokens() -> dict[str, dict[str, Any]]:
    """Compiled tokens."""
    compiled: dict[str, dict[str, Any]] = compile_.compile_contracts([compile_.HERE / "test" / "harness" / "Tokens.sol"])
    return compiled


def deployed(connection: Connection, wallet: Wallet, token: dict[str, Any]) -> Address:
    """A token of which accounts 0 and 1 have some."""
    send, abi = sender_for(connection, wallet).send, Abi(token["abi"])
    address = send("deploy", Payload(None, bytes.fromhex(token["bytecode"].removeprefix("0x"))), PLAIN).contract
    assert address is not None
    for number in (0, 1):
        send("mint", Payload(address, abi.call_data("mint", dev_wallet(number, connection).address, SUPPLY)), PLAIN)
    return address


@pytest.fixture
def token(connection: Connection, wallet: Wallet, tokens: dict[str, dict[str, Any]]) -> Address:
    """A token of which accounts 0 and 1 have some."""
    return deployed(connection, wallet, tokens["PlainToken"])


def events(connection: Connection) -> list[str]:
    return [record.event for record in connection.transactions]


def test_stake_and_funds_are_allowed_exactly_and_taken(connection: Connection, deployment: Deployment, token: Address) -> None:
    owner = create_small_market(connection, deployment, token=token)
    data = EthereumLedger(sender_for(connection, dev_wallet(1, connection)), owner.address)
    connection.transactions.clear()
    ether = connection.balance_wei(data.account)
    data.join(mask_key(0))
    data.join(mask_key(1))
    owner.fund(777)
    assert events(connection) == ["approve", "join", "join", "approve", "fund"]
    assert balance_wei(connection, token, owner.address) == STAKE + 777
    assert balance_wei(connection, token, data.account) == SUPPLY - STAKE
    assert allowance_wei(connection, token, data.account, owner.address) == 0
    assert ether - connection.balance_wei(data.account) == sum(r.fee_wei for r in connection.transactions if r.account == data.account)


def test_allowance_that_is_there_is_used(connection: Connection, wallet: Wallet, deployment: Deployment, token: Address) -> None:
    owner = create_small_market(connection, deployment, token=token)
    allow(sender_for(connection, wallet), token, spender=owner.address, amount_wei=1000)
    connection.transactions.clear()
    owner.fund(600)
    assert events(connection) == ["fund"]
    owner.fund(500)
    assert events(connection) == ["fund", "approve", "approve", "fund"]
    assert allowance_wei(connection, token, wallet.address, owner.address) == 0


def test_too_few_tokens_raise_not_funded_with_the_gap_and_nothing_is_sent(
    connection: Connection, deployment: Deployment, token: Address
) -> None:
    owner = create_small_market(connection, deployment, token=token)
    poor = EthereumLedger(sender_for(connection, dev_wallet(2, connection)), owner.address)
    connection.transactions.clear()
    with pytest.raises(NotFunded, match=f"holds 0 units of the token {token}; expected {STAKE}"):
        poor.join(mask_key(0))
    with pytest.raises(NotFunded, match="send it the other 5"):
        owner.fund(SUPPLY + 5)
    assert events(connection) == []


def test_token_that_keeps_a_fee_is_refused_and_keeps_nothing(
    connection: Connection, wallet: Wallet, deployment: Deployment, tokens: dict[str, dict[str, Any]]
) -> None:
    token = deployed(connection, wallet, tokens["FeeToken"])
    owner = create_small_market(connection, deployment, token=token)
    with pytest.raises(refusals.WrongPayment):
        owner.fund(1000)
    assert balance_wei(connection, token, owner.address) == 0


def test_contract_that_is_no_token_raises_an_error_of_ours(connection: Connection, deployment: Deployment, wallet: Wallet) -> None:
    with pytest.raises((Malformed, BadAnswer)):
        balance_wei(connection, wallet.address, wallet.address)
    with pytest.raises((ChainError, OmnilyticsError)):
        balance_wei(connection, deployment.factory, wallet.address)
