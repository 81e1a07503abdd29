"""Whether a market is one that a data owner may pay a stake into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Refused
from ..market.terms import Address
from .policy import Policy

if TYPE_CHECKING:
    from ..chain.market_reader import MarketReader


def check_trusted(market: MarketReader, factory: Address | None, policy: Policy) -> None:
    """Check that a market may be worked for.

    Parameters
    ----------
    market : MarketReader
    factory : Address or None
        The factory that the data owner trusts; None for a local chain, whose markets are all one's own.
    policy : Policy

    Raises
    ------
    UnknownMarket
        The factory has not created the market: its books may be forged.
    Refused
        Its verification is not of this version, and the policy wants that.
    """
    from ..chain.deploy import check_created

    if factory is not None:
        check_created(market.connection, factory, market.address)
    if policy.for_chain(is_local=market.connection.is_local).known_verification and not market.has_known_verification():
        raise Refused(
            f"policy refuses market {market.address}: its verification {market.terms().verification} is not of this version; expected one "
            "that is, for any other may accept what it likes; choose another market, or set known-verification = false in the policy"
        )
