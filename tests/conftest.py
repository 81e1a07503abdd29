"""Fixtures: one local chain for each test process, put back to its first state after every test that used it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from itertools import count

import pytest

from omnilytics_flwr.chain.deploy import Deployment, deploy
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.local_market import REQUEST_SECONDS
from omnilytics_flwr.market.terms import Address

from .chain.market_play import Play, create_small_market
from .support.nodes import FaultyNode, faulty_node

_LINEAGES = count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files marked ``first`` begin before the others."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start: a shell that runs pytest in the background has it ignored by all that comes from there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """Files that are not awaited on the disk: what tests kill are processes, never the machine. Every round waits for 200 of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def shared_anvil() -> Iterator[Anvil]:
    """A local chain that all tests of this process share; use `anvil`."""
    with Anvil(AnvilOptions()) as anvil:
        yield anvil


@pytest.fixture
def anvil(shared_anvil: Anvil) -> Iterator[Anvil]:
    """A local chain as it was when it started, plus two blocks that no other test has.

    A revert also sets the clock back, so tests that begin alike would mine the same blocks, hash for hash. anvil keeps states by hash
    and drops the oldest entry of its list: with blocks in common, that drops the state of a block that the present test has just mined.
    """
    name = shared_anvil.snapshot()
    account = shared_anvil.endpoint.request("eth_accounts")[-1]
    shared_anvil.endpoint.request("eth_sendTransaction", {"from": account, "to": account, "value": hex(next(_LINEAGES))})
    shared_anvil.mine()
    yield shared_anvil
    shared_anvil.endpoint.request("anvil_dropAllTransactions")
    # Here and not at the start: fixtures of the whole process, such as `deployment`, are made before the next test's own.
    shared_anvil.endpoint.request("evm_setAutomine", True)
    shared_anvil.revert(name)


@pytest.fixture(scope="session")
def deployment(shared_anvil: Anvil) -> Deployment:
    """The contracts, deployed once for all tests of this process."""
    connection = connect(shared_anvil.url, timeout_seconds=REQUEST_SECONDS)
    return deploy(sender_for(connection, dev_wallet(0, connection)))


@pytest.fixture
def connection(anvil: Anvil) -> Connection:
    """A connection to the local chain."""
    return connect(anvil.url)


@pytest.fixture
def wallet(connection: Connection) -> Wallet:
    """A wallet with ether."""
    return dev_wallet(0, connection)


@pytest.fixture
def node(anvil: Anvil) -> Iterator[FaultyNode]:
    """A node before the local chain that can fail and lie."""
    with faulty_node(anvil.url) as node:
        yield node


@pytest.fixture(scope="session")
def drawn_address(shared_anvil: Anvil, deployment: Deployment) -> Address:
    """A market with fifteen data owners in five drawn groups, made once for all tests of this process."""
    play = Play.of(create_small_market(connect(shared_anvil.url, timeout_seconds=REQUEST_SECONDS), deployment))
    play.join_all()
    play.draw()
    return play.owner.address


@pytest.fixture
def drawn(connection: Connection, drawn_address: Address) -> Play:
    """The market with drawn groups."""
    return Play.of(EthereumLedger(sender_for(connection, dev_wallet(0, connection)), drawn_address))


@pytest.fixture
def unused_address() -> Iterator[str]:
    """Address of a port that is taken, but where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
