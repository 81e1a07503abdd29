"""Draws that are not the one that the chain's randomness gives: every one is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import rlp

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.header import header_rlp
from omnilytics_flwr.market.draw import PREVRANDAO_FIELD, draw_order, epoch_seed, prevrandao_of, rank
from omnilytics_flwr.market.refusals import DrawTooEarly, MarketWrongLength, Refusal, WrongHeader, WrongOrder, WrongStage
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Address
from tests.chain.fixed_draw import OPCODE_BLOCKS
from tests.support.builders import STRANGER, address_of

from .real import RealMarket, send

OWNERS = 16


@dataclass(frozen=True)
class Frozen:
    """A market whose draw is due.

    `headers` are those of the block before that of the draw, of the draw, and of the next.
    """

    market: RealMarket
    headers: tuple[bytes, bytes, bytes]
    order: bytes
    owners: dict[int, Address]

    @property
    def header(self) -> bytes:
        return self.headers[1]

    def seed(self, *, epoch: int = 1, market: Address | None = None) -> bytes:
        return epoch_seed(prevrandao_of(self.header), epoch, market or self.market.owner.address)

    def order_under(self, seed: bytes) -> bytes:
        return bytes(draw_order(seed, self.owners))

    def first_fall(self, order: bytes) -> int:
        """First place of an order whose rank is not above the one before."""
        ranks = [rank(self.seed(), self.owners[seat]) for seat in order]
        return next(place for place in range(1, len(ranks)) if ranks[place] <= ranks[place - 1])


@pytest.fixture(scope="module")
def frozen_market(shared_devnet: Devnet, deployment: Deployment) -> Frozen:
    """The market of `frozen`."""
    market = RealMarket.create(connect(shared_devnet.url), deployment, OWNERS)
    for number, ledger in enumerate(market.data):
        market.join(number, ledger)
    market.owner.freeze()
    connection, draw_block = market.owner.connection, market.owner.state().draw_block
    connection.await_block(draw_block + 1)
    before, header, after = (header_rlp(connection.block(draw_block + i)) for i in (-1, 0, 1))
    owners = {member.seat: member.owner for member in market.owner.members()}
    seed = epoch_seed(prevrandao_of(header), 1, market.owner.address)
    return Frozen(market, (before, header, after), bytes(draw_order(seed, owners)), owners)


@pytest.fixture
def frozen(devnet: Devnet, frozen_market: Frozen) -> Frozen:
    """A market whose draw is due."""
    return frozen_market


Order = Callable[[Frozen], bytes]
ORDERS: dict[str, tuple[Order, type[Refusal], Callable[[Frozen], tuple[int, ...]]]] = {
    "a member left out": (lambda f: f.order[:-1], MarketWrongLength, lambda f: (15, 16)),
    "two members left out": (lambda f: f.order[2:], MarketWrongLength, lambda f: (14, 16)),
    "nobody": (lambda f: b"", MarketWrongLength, lambda f: (0, 16)),
    "a member added": (lambda f: f.order + f.order[-1:], MarketWrongLength, lambda f: (17, 16)),
    "first member twice for the last": (lambda f: f.order[:1] + f.order[:-1], WrongOrder, lambda f: (1,)),
    "last but one twice for the last": (lambda f: f.order[:-1] + f.order[-2:-1], WrongOrder, lambda f: (15,)),
    "first two swapped": (lambda f: f.order[1::-1] + f.order[2:], WrongOrder, lambda f: (1,)),
    "last two swapped": (lambda f: f.order[:-2] + f.order[:-3:-1], WrongOrder, lambda f: (15,)),
    "backwards": (lambda f: f.order[::-1], WrongOrder, lambda f: (1,)),
    "an unknown seat first": (lambda f: b"\x10" + f.order[1:], WrongOrder, lambda f: (0,)),
    "an unknown seat last": (lambda f: f.order[:-1] + b"\x10", WrongOrder, lambda f: (15,)),
    "seat 255": (lambda f: f.order[:7] + b"\xff" + f.order[8:], WrongOrder, lambda f: (7,)),
    "order of another epoch": (
        lambda f: f.order_under(f.seed(epoch=2)),
        WrongOrder,
        lambda f: (f.first_fall(f.order_under(f.seed(epoch=2))),),
    ),
    "order of another market": (
        lambda f: f.order_under(f.seed(market=address_of(STRANGER))),
        WrongOrder,
        lambda f: (f.first_fall(f.order_under(f.seed(market=address_of(STRANGER)))),),
    ),
}


@pytest.mark.parametrize(("order", "refusal", "facts"), ORDERS.values(), ids=ORDERS.keys())
def test_draw_in_another_order_is_refused(
    frozen: Frozen, order: Order, refusal: type[Refusal], facts: Callable[[Frozen], tuple[int, ...]]
) -> None:
    with pytest.raises(refusal) as found:
        send(frozen.market.owner, "draw", frozen.header, order(frozen))

    assert found.value.args == facts(frozen)
    assert frozen.market.owner.state().stage is Stage.FROZEN


def with_prevrandao(header: bytes, prevrandao: bytes) -> bytes:
    fields = list(rlp.decode(header))
    fields[PREVRANDAO_FIELD] = prevrandao
    return bytes(rlp.encode(fields))


HEADERS: dict[str, Callable[[Frozen], bytes]] = {
    "of the block before": lambda f: f.headers[0],
    "of the block after": lambda f: f.headers[2],
    "with a chosen prevrandao": lambda f: with_prevrandao(f.header, bytes(32)),
    "without its last byte": lambda f: f.header[:-1],
    "with a byte more": lambda f: f.header + b"\0",
    "empty": lambda f: b"",
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS.keys())
def test_draw_with_another_header_is_refused(frozen: Frozen, change: Callable[[Frozen], bytes]) -> None:
    header = change(frozen)

    with pytest.raises(WrongHeader) as refusal:
        send(frozen.market.owner, "draw", header, frozen.order)

    assert refusal.value.args == (keccak256(header), keccak256(frozen.header))


def test_draw_by_anybody_is_the_same_draw_and_there_is_no_second(frozen: Frozen) -> None:
    logs = frozen.market.data[3].draw().logs["Drawn"]

    assert (logs["epochSeed"], logs["order"]) == (frozen.seed(), frozen.order)
    with pytest.raises(WrongStage) as refusal:
        send(frozen.market.owner, "draw", frozen.header, frozen.order)
    assert refusal.value.args == (Stage.IDLE, 1 << Stage.FROZEN)


def test_freeze_again_before_the_draw_is_refused(frozen: Frozen) -> None:
    with pytest.raises(WrongStage) as refusal:
        frozen.market.owner.freeze()

    assert refusal.value.args[0] == Stage.FROZEN


def test_draw_before_its_block_is_refused(drawn: RealMarket) -> None:
    for number, ledger in enumerate(drawn.data):
        drawn.join(number, ledger)
    drawn.owner.freeze()
    draw_block = drawn.owner.state().draw_block
    connection = drawn.owner.connection
    header = header_rlp(connection.block("latest"))

    for _ in range(2):
        with pytest.raises(DrawTooEarly) as refusal:
            send(drawn.data[0], "draw", header, bytes(OWNERS))
        assert refusal.value.args == (connection.block_number() + 1, draw_block)
        # The block of the draw itself is too early too.
        connection.await_block(draw_block - 1)


def test_draw_long_after_its_block_is_proven_from_history(frozen: Frozen, devnet: Devnet) -> None:
    devnet.mine(OPCODE_BLOCKS + 50)

    assert frozen.market.data[0].draw_with(frozen.header).logs["Drawn"]["order"] == frozen.order
