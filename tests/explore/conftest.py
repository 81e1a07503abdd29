"""Fixtures: a market with a void group, a quiet round and an open one, served as pages on loopback; and one as large as can be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import uvicorn

from omnilytics_flwr.audit.chronicle import Chronicle
from omnilytics_flwr.audit.history import MarketLog, MarketTransaction
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.market_reader import MarketReader
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.explore.market_document import WatchedMarket, stories
from omnilytics_flwr.explore.server import Explorer, configured
from omnilytics_flwr.market.roster import bitmap_of
from omnilytics_flwr.market.terms import Address
from tests.chain.market_play import Play, open_round, small_terms
from tests.support.nodes import FaultyNode, impatient

MOST_OWNERS, MANY_ROUNDS, ROUNDS_OF_EPOCH, GROUP = 254, 200, 8, 3


@pytest.fixture
def opened(drawn: Play) -> Play:
    """The market with drawn groups and an open round."""
    open_round(drawn)
    return drawn


@pytest.fixture
def watched(opened: Play) -> WatchedMarket:
    """That market, watched from its first block."""
    return WatchedMarket(MarketReader(connect(opened.owner.connection.endpoint.url), opened.owner.address), 0)


@pytest.fixture
def explorer(opened: Play, deployment: Deployment, node: FaultyNode) -> Explorer:
    """The chain's markets, read through a node that can fail; the first data owner looks."""
    connection = connect(node.url)
    impatient(connection.endpoint)
    return Explorer(
        lambda address: (MarketReader(connection, address), 0),
        lambda: (deployment.factory, (opened.owner.address,)),
        own=opened.data[0].account,
    )


@pytest.fixture
def address(explorer: Explorer) -> Iterator[str]:
    """Where the pages are served."""
    server = uvicorn.Server(configured(explorer.app()))
    started = threading.Event()
    startup = server.startup

    async def begin(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = begin  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(60)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


@pytest.fixture(scope="session")
def largest(deployment: Deployment) -> dict[str, Any]:
    """The stories of 254 data owners in 200 rounds of 25 epochs: two groups of 84 go unpaid in each, one is waived."""
    chronicle = Chronicle(small_terms(deployment))
    for logs in _largest():
        chronicle.add(
            MarketTransaction(
                transaction_hash="0x" + "00" * 32,
                block=1,
                timestamp=1_800_000_000,
                sender=_owner(0),
                calls=None,
                logs=tuple(logs),
                gas_used=900_000,
                fee_wei=10**15,
            )
        )
    return stories(chronicle)


def _largest() -> Iterator[list[MarketLog]]:
    """Events of each transaction of the largest market."""
    random, groups = Random(7), MOST_OWNERS // GROUP
    everybody = list(range(MOST_OWNERS))
    for round_number in range(1, MANY_ROUNDS + 1):
        epoch = (round_number - 1) // ROUNDS_OF_EPOCH + 1
        if (round_number - 1) % ROUNDS_OF_EPOCH == 0:
            for seat in everybody:
                yield [("Joined", {"owner": _owner(seat), "seat": seat, "epoch": epoch, "maskKey": bytes(32)})]
            yield [("Frozen", {"epoch": epoch, "members": bitmap_of(everybody), "drawBlock": 1})]
            yield [("Drawn", {"epoch": epoch, "epochSeed": bytes(32), "order": bytes(random.sample(everybody, MOST_OWNERS))})]
        about = {"epoch": epoch, "round": round_number}
        yield [("Anchored", {**about, "taskHash": keccak256(word(round_number)), "openBy": 1_800_003_600})]
        yield [("Opened", {**about, "groups": (1 << groups) - 1, "rosterHash": bytes(32), "settleBy": 1_800_010_800})]
        *dropped, waived = random.sample(range(groups), 3)
        accepted = bitmap_of(set(range(groups)) - {*dropped, waived})
        paid = bitmap_of(random.sample(everybody, MOST_OWNERS - 6))
        yield [("Settled", {**about, "accepted": accepted, "waived": 1 << waived, "paidSeats": paid})]


def _owner(seat: int) -> Address:
    return Address("0x" + keccak256(word(seat))[:20].hex())
