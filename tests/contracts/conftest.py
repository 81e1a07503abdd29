"""Fixtures for tests of the contracts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import connect

from .real_market import MOST_UNIT, Opened, RealMarket, level, whole_groups


@pytest.fixture
def free_anvil(anvil: Anvil) -> Iterator[Anvil]:
    """A local chain without fees and signatures, whose blocks are a second apart."""
    base_fee = anvil.endpoint.request("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]
    anvil.endpoint.request("anvil_setNextBlockBaseFeePerGas", "0x0")
    anvil.endpoint.request("anvil_autoImpersonateAccount", True)
    anvil.endpoint.request("anvil_setBlockTimestampInterval", 1)
    yield anvil
    anvil.endpoint.request("anvil_removeBlockTimestampInterval")
    anvil.endpoint.request("anvil_autoImpersonateAccount", False)
    anvil.endpoint.request("anvil_setNextBlockBaseFeePerGas", base_fee)


@pytest.fixture(scope="session")
def drawn_market(shared_anvil: Anvil, deployment: Deployment) -> RealMarket:
    """The market of `drawn`, made once for all tests of this process."""
    return RealMarket.create(connect(shared_anvil.url), deployment, 16).join_and_draw()


@pytest.fixture
def drawn(anvil: Anvil, drawn_market: RealMarket) -> RealMarket:
    """A market with sixteen data owners in drawn groups of 4, 3, 3, 3 and 3, at most one of them faulty."""
    return drawn_market


@pytest.fixture(scope="session")
def opened_market(shared_anvil: Anvil, deployment: Deployment) -> Opened:
    """The market of `opened`, made once for all tests of this process."""
    market = RealMarket.create(connect(shared_anvil.url), deployment, 19).join_and_draw()
    round_, waived = market.open(whole_groups({1: level(MOST_UNIT // 2)})), 1 << 5
    return Opened(market, round_, waived, round_.settlement(waived))


@pytest.fixture
def opened(anvil: Anvil, opened_market: Opened) -> Opened:
    """A market with an open round and its honest settlement."""
    return opened_market
