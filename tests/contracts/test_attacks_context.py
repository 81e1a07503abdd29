"""A settlement is good for one task of one round of one epoch of one market on one chain.

Everybody delivers the same vector, so that roster hash and sizes are the same everywhere: only the context tells two rounds apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.market.messages import sign_commitment
from omnilytics_flwr.market.refusals import BadSignature, VerificationWrongOpening
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import make_task

from .real_market import OpenRound, RealMarket, near

OTHER_CHAIN_ID = 31338


def open_alike(market: RealMarket, task: bytes | None = None) -> OpenRound:
    """A round like every other."""
    return market.open(lambda group, place: near(), masks=False, task=task)


def assert_refused_here(market: RealMarket, here: OpenRound, elsewhere: OpenRound, settlement: bytes) -> None:
    """The settlement of a round elsewhere is refused here, for its context alone; the one of this round is accepted."""
    assert elsewhere.statement.context != here.statement.context
    assert replace(elsewhere.statement, context=here.statement.context) == here.statement

    with pytest.raises(VerificationWrongOpening):
        market.settle(here, settlement)

    assert market.owner.state().stage is Stage.OPEN
    market.settle(here)


def test_settlement_of_another_round_is_refused(drawn: RealMarket) -> None:
    first = open_alike(drawn, make_task(7))
    settlement = first.settlement()
    drawn.settle(first, settlement)

    assert_refused_here(drawn, open_alike(drawn, make_task(7)), first, settlement)


def test_settlement_of_another_task_is_refused(drawn: RealMarket, anvil: Anvil) -> None:
    name = anvil.snapshot()
    elsewhere = open_alike(drawn, make_task(7))
    settlement = elsewhere.settlement()
    anvil.revert(name)
    here = open_alike(drawn, make_task(8))

    assert_refused_here(drawn, here, elsewhere, settlement)


def test_settlement_of_another_epoch_is_refused(drawn: RealMarket, anvil: Anvil) -> None:
    name = anvil.snapshot()
    elsewhere = open_alike(drawn, make_task(7))
    settlement = elsewhere.settlement()
    anvil.revert(name)
    for number, ledger in enumerate(drawn.data):
        drawn.join(number, ledger)
    drawn.owner.freeze()
    drawn.owner.draw()
    here = open_alike(drawn, make_task(7))

    assert_refused_here(drawn, here, elsewhere, settlement)


def test_settlement_of_another_market_is_refused(drawn: RealMarket, anvil: Anvil, deployment: Deployment) -> None:
    elsewhere = open_alike(drawn, make_task(7))
    other = RealMarket.create(connect(anvil.url), deployment, 16).join_and_draw()

    assert_refused_here(other, open_alike(other, make_task(7)), elsewhere, elsewhere.settlement())


@pytest.fixture
def chain_ids(anvil: Anvil) -> Iterator[Anvil]:
    """A local chain whose id may be changed."""
    yield anvil
    anvil.endpoint.request("anvil_setChainId", anvil.options.chain_id)


def test_settlement_and_signatures_of_another_chain_are_refused(drawn: RealMarket, chain_ids: Anvil) -> None:
    name = chain_ids.snapshot()
    elsewhere = open_alike(drawn, make_task(7))
    settlement = elsewhere.settlement()
    chain_ids.revert(name)
    chain_ids.endpoint.request("anvil_setChainId", OTHER_CHAIN_ID)
    market = drawn.on(connect(chain_ids.url))
    here = open_alike(market, make_task(7))
    wallets, digest, open_by = market.wallets(), points_digest(near().points), market.owner.state().open_by
    there = replace(market.task(), chain_id=drawn.owner.chain_id)
    foreign = tuple(sign_commitment(wallets[seat], there, digest, open_by) for group in market.seats(here.groups) for seat in group)

    with pytest.raises(BadSignature):
        market.settle(replace(here, signatures=foreign))

    assert_refused_here(market, here, elsewhere, settlement)
