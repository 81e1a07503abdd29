"""A second node's view of the market: what leaves a data owner follows from what a node shows, and one alone could make it up.

A node that lies about peers' keys learns the update, for it knows the masks; one that lies about an opening gets a vector that nobody
has to pay for. Two nodes of different operators would have to lie alike.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from ..errors import ChainError, Refused, UnknownMarket, WrongChain
from ..market.market_view import MarketState, MarketView, Member
from ..market.stage import Stage
from ..market.terms import Address, Terms
from .task_checks import drawn_group, drawn_groups, out_of_turn

COMMITTED_TO = ("task_hash", "open_by", "epoch_seed", "members")
DELIVERED_FOR = ("task_hash", "epoch_seed", "groups", "roster_hash", "settle_by")
ANSWERED_FOR = (*DELIVERED_FOR, "answer_by")


class SecondNode:
    """Compares what the agent's own node shows with the same market at another node; every method raises if they differ.

    Parameters
    ----------
    connect : callable
        Returns the market's view at the other node; called again until it does, so that an agent can start while that node is down.
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

    def __init__(self, connect: Callable[[], MarketView], terms: Terms) -> None:
        self._connect = connect
        self._terms = terms

    @cached_property
    def _view(self) -> MarketView:
        return self._connect()

    def terms(self) -> None:
        """Compare the terms, for which a stake is paid."""
        if self._view.terms() != self._terms:
            raise _disagreement("the terms of the market")

    def commitment(self, state: MarketState, group: tuple[Member, ...], event: str = "train") -> None:
        """Compare what a commitment is for: the anchored task, the draw, and the peers with their mask keys."""
        other = self._compare(state, self._view.state(), COMMITTED_TO, event)
        mine = {member.seat for member in group}
        shown = drawn_group(drawn_groups(self._view, other), self._view.members(), min(mine), other)
        if shown != group:
            raise _disagreement("the members of this data owner's group, their mask keys and their examples")

    def evaluation(self, state: MarketState, group: tuple[Member, ...], own: MarketView) -> None:
        """Compare what metrics leave for: what a commitment is for, and that the round before was settled, as the `own` node shows it."""
        self.commitment(state, group, "evaluate")
        before = state.round - 1
        shown, known = ((view.paid_seats(before), view.bond_share_wei(before)) for view in (self._view, own))
        if shown != known:
            raise _disagreement(f"what round {before} paid")

    def delivery(self, state: MarketState, confirmations: int) -> None:
        """Compare the opening that a vector leaves for; the other node must show it under as many blocks."""
        self._compare(state, self._view.state(confirmations), DELIVERED_FOR, "deliver")

    def answer(self, state: MarketState, seat: int, digest: bytes, confirmations: int) -> None:
        """Compare the accusation that a vector is published for; the other node must show it under as many blocks."""
        other = self._compare(state, self._view.state(confirmations), ANSWERED_FOR, "answer")
        if not is_accused(other, seat) or self._view.accusation(seat).digest != digest:
            raise _disagreement(f"an accusation of seat {seat}")

    def accused(self, account: Address) -> tuple[MarketState, int] | None:
        """State and seat, if the other node shows an accusation that this account has to answer."""
        state = self._view.state()
        if not state.accused & ~state.answered:
            return None
        record = self._view.owner_record(account)
        return (state, record.seat) if record.registered and is_accused(state, record.seat) else None

    def _compare(self, state: MarketState, other: MarketState, names: tuple[str, ...], event: str) -> MarketState:
        if (state.stage, state.epoch, state.round) != (other.stage, other.epoch, other.round):
            raise out_of_turn(other, f"{event} in round {state.round} of epoch {state.epoch}")
        self.terms()
        differing = [name.replace("_", " ") for name in names if getattr(state, name) != getattr(other, name)]
        if differing:
            raise _disagreement(", ".join(differing))
        return other


def says_nothing(error: ChainError) -> bool:
    """Whether a failure of the second node is no word against the first: it is down, and does not show that something is not so."""
    return not isinstance(error, UnknownMarket | WrongChain)


def is_accused(state: MarketState, seat: int) -> bool:
    """Whether a seat has an accusation of the open round to answer."""
    return state.stage is Stage.OPEN and bool((state.accused & ~state.answered) >> seat & 1)


def _disagreement(what: str) -> Refused:
    return Refused(
        f"this data owner's two nodes disagree on {what}; one of them lies, or follows another fork; nothing leaves until they agree: "
        "its operator must look at both"
    )
