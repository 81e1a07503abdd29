"""Who is not the model owner."""

from __future__ import annotations

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.wallet import dev_wallet

from .real import Opened, RealMarket


def stranger(market: RealMarket) -> EthereumLedger:
    """Somebody with ether and nothing to do with the market."""
    return EthereumLedger(market.owner.connection, market.owner.address, dev_wallet(45, market.owner.connection))


def settled(opened: Opened) -> RealMarket:
    opened.market.settle(opened.round, opened.settlement, waived=opened.waived)
    return opened.market


def member_of(market: RealMarket, group: int) -> EthereumLedger:
    """The data owner on the lowest seat of a group."""
    (seats,) = market.seats(1 << group)
    return market.data[seats[0]]
