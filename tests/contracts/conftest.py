"""Fixtures for tests of the contracts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omnilytics_flwr.chain.deploy import Deployment, deploy
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import dev_wallet

from .real_market import Opened, RealMarket, first_members, wild


@pytest.fixture
def connection(devnet: Devnet) -> Connection:
    """A connection to the local chain."""
    return connect(devnet.url)


@pytest.fixture(scope="session")
def deployment(shared_devnet: Devnet) -> Deployment:
    """The contracts, deployed once for all tests of this process."""
    connection = connect(shared_devnet.url)
    return deploy(connection, dev_wallet(0, connection))


@pytest.fixture
def free_devnet(devnet: Devnet) -> Iterator[Devnet]:
    """A local chain without fees and signatures, whose blocks are a second apart."""
    base_fee = devnet.endpoint.request("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]
    devnet.endpoint.request("anvil_setNextBlockBaseFeePerGas", "0x0")
    devnet.endpoint.request("anvil_autoImpersonateAccount", True)
    devnet.endpoint.request("anvil_setBlockTimestampInterval", 1)
    yield devnet
    devnet.endpoint.request("anvil_removeBlockTimestampInterval")
    devnet.endpoint.request("anvil_autoImpersonateAccount", False)
    devnet.endpoint.request("anvil_setNextBlockBaseFeePerGas", base_fee)


@pytest.fixture(scope="session")
def drawn_market(shared_devnet: Devnet, deployment: Deployment) -> RealMarket:
    """The market of `drawn`, made once for all tests of this process."""
    return RealMarket.create(connect(shared_devnet.url), deployment, 16).join_and_draw()


@pytest.fixture
def drawn(devnet: Devnet, drawn_market: RealMarket) -> RealMarket:
    """A market with sixteen data owners in drawn groups of 4, 3, 3, 3 and 3, at most one of them faulty."""
    return drawn_market


@pytest.fixture(scope="session")
def opened_market(shared_devnet: Devnet, deployment: Deployment) -> Opened:
    """The market of `opened`, made once for all tests of this process."""
    market = RealMarket.create(connect(shared_devnet.url), deployment, 19).join_and_draw()
    round_, waived = market.open(first_members({1: wild()})), 1 << 5
    return Opened(market, round_, waived, round_.settlement(waived))


@pytest.fixture
def opened(devnet: Devnet, opened_market: Opened) -> Opened:
    """A market with an open round and its honest settlement."""
    return opened_market
