"""Deploying, creating and finding markets."""

from __future__ import annotations

from typing import Any

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment, check_created, check_deployment, create_market, deploy, markets
from omnilytics_flwr.chain.market_reader import MarketReader
from omnilytics_flwr.errors import NotFunded, ToolMissing, UnknownMarket, UnsupportedChain
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import Wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.refusals import MarketBadTerms

from .market_play import small_terms


def test_deploy_gas_of_each_contract_is_recorded(connection: Connection, wallet: Wallet) -> None:
    deployed = deploy(sender_for(connection, wallet))
    check_deployment(connection, deployed)
    records = {record.event: record for record in connection.transactions}
    assert set(records) == {
        f"deploy {name}" for name in ("SumcheckVerification", "ComputedVerification", "VoucherAdmission", "MarketFactory")
    }
    assert all(record.gas_used > 200_000 for record in records.values())


def test_deploy_without_ether_raises_not_funded(connection: Connection) -> None:
    with pytest.raises(NotFunded, match="lacks"):
        deploy(sender_for(connection, Wallet.create()))


def test_create_market_is_announced_and_found(connection: Connection, wallet: Wallet, deployment: Deployment) -> None:
    before = markets(connection, deployment)
    terms = small_terms(deployment)
    address = create_market(sender_for(connection, wallet), deployment, terms)
    assert markets(connection, deployment) == (*before, address)
    reader = MarketReader(connection, address)
    assert reader.terms() == terms
    assert reader.model_owner == wallet.address
    assert reader.terms_hash() == terms.digest()


def test_whether_the_factory_made_a_market_is_one_request_however_many_it_made(
    connection: Connection, wallet: Wallet, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [create_market(sender_for(connection, wallet), deployment, small_terms(deployment)) for _ in range(3)]
    asked: list[str] = []
    request = connection.request

    def noted(method: str, *parameters: object) -> Any:
        asked.append(method)
        return request(method, *parameters)

    monkeypatch.setattr(connection, "request", noted)
    for market in made:
        check_created(connection, deployment.factory, market)
    with pytest.raises(UnknownMarket, match="has not created"):
        check_created(connection, deployment.factory, wallet.address)
    assert asked == ["eth_call"] * 4


def test_create_market_bad_terms_raises_the_factorys_error(connection: Connection, wallet: Wallet, deployment: Deployment) -> None:
    terms = small_terms(deployment)
    object.__setattr__(terms, "reward_wei", 0)
    with pytest.raises(MarketBadTerms) as caught:
        create_market(sender_for(connection, wallet), deployment, terms)
    assert caught.value.args == ("rewardWei", 0, 1, 2**96)


@pytest.mark.parametrize("part", ["verification", "computed", "implementation", "factory", "gate"])
def test_check_deployment_one_contract_other_raises(connection: Connection, deployment: Deployment, part: str) -> None:
    address = getattr(deployment, part)
    code = bytearray(connection.code(address))
    code[-1] ^= 1
    connection.request("anvil_setCode", address, "0x" + code.hex())
    with pytest.raises(UnsupportedChain, match=address):
        check_deployment(connection, deployment)


def test_load_contract_not_shipped_raises() -> None:
    with pytest.raises(ToolMissing, match="make artifacts"):
        artifacts.load("Nothing")
