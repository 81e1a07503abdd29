"""Fixtures for tests of the chain adapter."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.terms import Address

from .market_play import Play, create_small_market


@pytest.fixture
def market(connection: Connection, deployment: Deployment) -> Play:
    """A new market that nobody has joined."""
    return Play.of(create_small_market(connection, deployment))


@pytest.fixture
def drawn(connection: Connection, drawn_address: Address) -> Play:
    """The market with drawn groups."""
    return Play.of(EthereumLedger(sender_for(connection, dev_wallet(0, connection)), drawn_address))
