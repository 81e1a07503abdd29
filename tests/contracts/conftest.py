"""Fixtures for tests of the contracts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omnilytics_flwr.chain.deploy import Deployment, deploy
from omnilytics_flwr.chain.devnet import Devnet
from omnilytics_flwr.chain.rpc import Connection, connect
from omnilytics_flwr.chain.wallet import dev_wallet


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
