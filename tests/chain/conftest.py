"""Fixtures for tests of the chain adapter."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from omnilytics_flwr.chain.devnet import Devnet
from omnilytics_flwr.chain.rpc import Connection, connect
from omnilytics_flwr.chain.wallet import Wallet, dev_wallet


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
