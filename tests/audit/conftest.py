"""Fixtures: the histories of three markets, exact, projected and computed, each played once on a local chain of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from omnilytics_flwr.audit.history import MarketHistory
from omnilytics_flwr.chain.deploy import deploy
from omnilytics_flwr.chain.history_reader import read_history
from omnilytics_flwr.chain.market_reader import MarketReader
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for

from .life import Life


@dataclass(frozen=True)
class Lived:
    """A market at its end, and what a chain has of it."""

    life: Life
    reader: MarketReader
    history: MarketHistory


@pytest.fixture(scope="session")
def own_chain() -> Iterator[Anvil]:
    """A chain whose clock other tests do not need."""
    with Anvil(AnvilOptions()) as anvil:
        yield anvil


@pytest.fixture(scope="session")
def exact(own_chain: Anvil) -> Lived:
    """An exact market."""
    return live(own_chain, "exact")


@pytest.fixture(scope="session")
def projected(own_chain: Anvil) -> Lived:
    """A projected one."""
    return live(own_chain, "projected")


@pytest.fixture(scope="session")
def computed(own_chain: Anvil) -> Lived:
    """One whose contract computes the distances."""
    return live(own_chain, "computed")


def live(anvil: Anvil, kind: str) -> Lived:
    """Play a market from first to last."""
    connection: Connection = connect(anvil.url)
    deployment = deploy(sender_for(connection, dev_wallet(0, connection)))
    life = Life(anvil, connection, deployment, kind)
    life.live()
    reader = MarketReader(connection, life.owner.address)
    return Lived(life, reader, read_history(reader, first_block=deployment.block))
