"""The market on a second implementation of the EVM and of a node, EthereumJS: a chain of Prague, which has no blobs as answers need them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omnilytics_flwr.chain.chain_support import check_blobs, check_supported
from omnilytics_flwr.chain.deploy import Deployment, check_deployment, deploy
from omnilytics_flwr.errors import UnsupportedChain
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.header import block_header, header_rlp
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.refusals import MarketBadTerms
from omnilytics_flwr.market.stage import Stage

from ..support.ethereumjs import EthereumJs, ethereumjs, wallet
from .market_play import FUNDS_WEI, NO_TASK, REWARD_WEI, TASK, Play, create_small_market, updates

DRAW_DELAY_BLOCKS = 4


@pytest.fixture(scope="module")
def node() -> Iterator[EthereumJs]:
    """A chain for all tests of this module."""
    with ethereumjs() as node:
        yield node


@pytest.fixture
def connection(node: EthereumJs) -> Connection:
    """A connection to it."""
    return connect(node.url)


@pytest.fixture(scope="module")
def deployed(node: EthereumJs) -> Deployment:
    """The contracts on it."""
    return deploy(sender_for(connect(node.url), wallet(0)))


def test_chain_of_prague_has_what_markets_need_but_no_blobs_with_cell_proofs(connection: Connection) -> None:
    check_supported(connection)
    with pytest.raises(UnsupportedChain, match=r"takes no transactions with blobs.*Expected 4 values"):
        check_blobs(connection)


def test_chain_without_a_history_of_block_hashes_is_refused_by_name_before_anything_is_sent() -> None:
    with ethereumjs(history=False) as node:
        connection = connect(node.url)
        with pytest.raises(UnsupportedChain, match="keeps no history of block hashes"):
            deploy(sender_for(connection, wallet(0)))
        assert connection.block_number() == 0


def test_accusations_are_refused_where_nobody_could_answer(connection: Connection, deployed: Deployment) -> None:
    with pytest.raises(MarketBadTerms) as caught:
        create_small_market(connection, deployed)
    assert caught.value.args == ("answerSeconds", 3600, 0, 0)


def test_header_of_a_block_is_that_of_its_node_and_of_its_fields(node: EthereumJs, connection: Connection) -> None:
    node.mine()
    number = connection.block_number()
    assert block_header(connection, number) == header_rlp(connection.block(number))


def test_round_without_accusations_from_draw_to_claim(node: EthereumJs, connection: Connection, deployed: Deployment) -> None:
    check_deployment(connection, deployed)
    play = Play.of(create_small_market(connection, deployed, answer_seconds=0))
    play.join_all()
    play.owner.freeze()
    node.mine(DRAW_DELAY_BLOCKS + 2)
    play.owner.draw()
    play.owner.fund(FUNDS_WEI)
    play.owner.anchor(TASK)
    odd = play.owner.group_seats(3)
    vectors = updates(play.seats(), odd_seats=odd)
    points = play.open(vectors)
    play.settle(vectors, points, next_task=NO_TASK)
    assert play.owner.state().stage is Stage.IDLE
    paid = play.owner.paid_seats(1)
    assert paid == play.owner.state().members & ~odd
    member = next(ledger for ledger in play.data if paid >> ledger.owner_record(ledger.account).seat & 1)
    before = connection.balance_wei(member.account)
    play.owner.claim(member.account, 1)
    assert connection.balance_wei(member.account) == before + REWARD_WEI
