"""Fixtures for tests of the chain adapter."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from omnilytics_flwr.chain.deploy import Deployment, deploy
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import Wallet, dev_wallet
from omnilytics_flwr.market.terms import Address

from .market_play import Play, create_small_market


@pytest.fixture
def unused_address() -> Iterator[str]:
    """Address of a port that is taken, but where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def connection(devnet: Devnet) -> Connection:
    """A connection to the local chain."""
    return connect(devnet.url)


@pytest.fixture
def wallet(connection: Connection) -> Wallet:
    """A wallet with ether."""
    return dev_wallet(0, connection)


@pytest.fixture(scope="session")
def deployment(shared_devnet: Devnet) -> Deployment:
    """The contracts, deployed once for all tests of this process."""
    connection = connect(shared_devnet.url)
    return deploy(connection, dev_wallet(0, connection))


@pytest.fixture(scope="session")
def drawn_address(shared_devnet: Devnet, deployment: Deployment) -> Address:
    """A market with fifteen data owners in five drawn groups, made once for all tests of this process."""
    owner = create_small_market(connect(shared_devnet.url), deployment)
    play = Play.of(owner)
    play.join_all()
    play.draw()
    return owner.address


@pytest.fixture
def market(connection: Connection, deployment: Deployment) -> Play:
    """A new market that nobody has joined."""
    return Play.of(create_small_market(connection, deployment))


@pytest.fixture
def drawn(connection: Connection, drawn_address: Address) -> Play:
    """The market with drawn groups."""
    return Play.of(EthereumLedger(connection, drawn_address, dev_wallet(0, connection)))
