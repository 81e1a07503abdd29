"""Fixtures for tests of the chain adapter."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.evm.connection import Connection

from .market_play import Play, create_small_market


@pytest.fixture
def market(connection: Connection, deployment: Deployment) -> Play:
    """A new market that nobody has joined."""
    return Play.of(create_small_market(connection, deployment))
