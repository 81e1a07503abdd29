"""Fixtures: one local chain for each test process, put back to its first state after every test that used it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from omnilytics_flwr.evm.anvil import Devnet, DevnetOptions

_LINEAGES = count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files marked ``first`` begin before the others."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(scope="session")
def shared_devnet() -> Iterator[Devnet]:
    """A local chain that all tests of this process share; use `devnet`."""
    with Devnet(DevnetOptions()) as devnet:
        yield devnet


@pytest.fixture
def devnet(shared_devnet: Devnet) -> Iterator[Devnet]:
    """A local chain as it was when it started, plus two blocks that no other test has.

    A revert also sets the clock back, so tests that begin alike would mine the same blocks, hash for hash. anvil keeps states by hash
    and drops the oldest entry of its list: with blocks in common, that drops the state of a block that the present test has just mined.
    """
    name = shared_devnet.snapshot()
    shared_devnet.endpoint.request("evm_setAutomine", True)
    account = shared_devnet.endpoint.request("eth_accounts")[-1]
    shared_devnet.endpoint.request("eth_sendTransaction", {"from": account, "to": account, "value": hex(next(_LINEAGES))})
    shared_devnet.mine()
    yield shared_devnet
    shared_devnet.endpoint.request("anvil_dropAllTransactions")
    shared_devnet.revert(name)
