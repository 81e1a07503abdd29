"""A second node's view of the market: what leaves a data owner follows from what a node shows, and one alone could make it up.

A node that lies about peers' keys learns the update, for it knows the masks; one that lies about an opening gets a vector that nobody
has to pay for. Two nodes of different operators would have to lie alike.
"""

from __future__ import annotations

from ..errors import Refused
from ..market.market_view import MarketState, MarketView, Member
from ..market.terms import Terms
from .task_checks import drawn_group, out_of_turn

COMMITTED_TO = ("task_hash", "open_by", "epoch_seed", "members")
DELIVERED_FOR = ("task_hash", "epoch_seed", "groups", "roster_hash", "settle_by")


class SecondNode:
    """Compares what the agent's own node shows with the same market at another node; every method raises if they differ.

    Parameters
    ----------
    view : MarketView
        At the other node.
    terms : Terms
        As the agent's own node shows them.

    Raises
    ------
    OutOfTurn
        The other node is in another stage or round: one of them is behind.
    Refused
        They disagree on what is fixed.
    ChainError
        The other node cannot be asked.
    """

    def __init__(self, view: MarketView, terms: Terms) -> None:
        self._view = view
        self._terms = terms

    def commitment(self, state: MarketState, group: tuple[Member, ...]) -> None:
        """Compare what a commitment is for: the anchored task, the draw, and the peers with their mask keys."""
        other = self._compare(state, self._view.state(), COMMITTED_TO, "train")
        mine = {member.seat for member in group}
        shown = drawn_group(self._view, self._view.members(), min(mine), other)
        if shown != group:
            raise _disagreement("the members of this data owner's group and their mask keys")

    def delivery(self, state: MarketState, confirmations: int) -> None:
        """Compare the opening that a vector leaves for; the other node must show it under as many blocks."""
        self._compare(state, self._view.state(confirmations), DELIVERED_FOR, "deliver")

    def _compare(self, state: MarketState, other: MarketState, names: tuple[str, ...], event: str) -> MarketState:
        if (state.stage, state.epoch, state.round) != (other.stage, other.epoch, other.round):
            raise out_of_turn(other, f"{event} in round {state.round} of epoch {state.epoch}")
        if self._view.terms() != self._terms:
            raise _disagreement("the terms of the market")
        differing = [name.replace("_", " ") for name in names if getattr(state, name) != getattr(other, name)]
        if differing:
            raise _disagreement(", ".join(differing))
        return other


def _disagreement(what: str) -> Refused:
    return Refused(
        f"this data owner's two nodes disagree on {what}; one of them lies, or follows another fork; nothing leaves until they agree: "
        "its operator must look at both"
    )
