"""Markets that pay in a token: exactly what is due is allowed, when it is due."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.errors import ChainError, Malformed, NotFunded, OmnilyticsError
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.erc20 import allow, allowance_wei, balance_wei
from omnilytics_flwr.evm.rpc_values import BadAnswer
from omnilytics_flwr.evm.wallet import Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market import refusals
from omnilytics_flwr.market.terms import Address

from .market_play import REWARD_WEI, TOKEN_SUPPLY, create_small_market, deploy_token, mask_key

STAKE = 4 * REWARD_WEI


@pytest.fixture
def token(connection: Connection) -> Address:
    """A token of which accounts 0 and 1 have some."""
    return deploy_token(connection)


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
    assert balance_wei(connection, token, data.account) == TOKEN_SUPPLY - STAKE
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
        owner.fund(TOKEN_SUPPLY + 5)
    assert events(connection) == []


def test_token_that_keeps_a_fee_is_refused_and_keeps_nothing(connection: Connection, deployment: Deployment) -> None:
    token = deploy_token(connection, "FeeToken")
    owner = create_small_market(connection, deployment, token=token)
    with pytest.raises(refusals.WrongPayment):
        owner.fund(1000)
    assert balance_wei(connection, token, owner.address) == 0


def test_contract_that_is_no_token_raises_an_error_of_ours(connection: Connection, deployment: Deployment, wallet: Wallet) -> None:
    with pytest.raises((Malformed, BadAnswer)):
        balance_wei(connection, wallet.address, wallet.address)
    with pytest.raises((ChainError, OmnilyticsError)):
        balance_wei(connection, deployment.factory, wallet.address)
