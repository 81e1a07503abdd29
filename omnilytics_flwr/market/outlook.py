"""Where a market stands, in a sentence, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass

from .market_view import MarketState
from .stage import Stage
from .terms import Terms


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where a market stands.

    Attributes
    ----------
    sentence : str
        Without a full stop.
    next_step : str
        The command that goes on, or what everybody waits for; empty if nothing comes any more.
    deadline : int
        Unix seconds until when that is possible; 0 if there is no limit.
    """

    sentence: str
    next_step: str
    deadline: int = 0


def outlook(state: MarketState, terms: Terms, *, now: int, block: int) -> Outlook:
    """Where a market stands.

    Parameters
    ----------
    now : int
        Unix seconds.
    block : int
        Number of the latest block.
    """
    if state.stage is Stage.ENROLLING:
        return _enrolling(state, terms, "")
    if state.stage is Stage.FROZEN:
        return _frozen(state, block)
    if state.stage is Stage.ANCHORED and state.opened_in_epoch < terms.rounds_per_epoch:  # one more is anchored to be evaluated only
        return _anchored(state, now)
    if state.stage is Stage.OPEN:
        return _open(state, now)
    if state.stage is Stage.CLOSED:
        return Outlook("the market is closed", "`omnilytics withdraw` pays out what is credited" if state.credits_wei else "")
    had = f"epoch {state.epoch} has had {state.opened_in_epoch} of {terms.rounds_per_epoch} rounds"
    if state.opened_in_epoch >= terms.rounds_per_epoch:
        return _enrolling(state, terms, f"{had}; ")
    return Outlook(had, f"the model owner's run anchors round {state.round + 1}")


def missing_owners(enrolled: int, terms: Terms) -> int:
    """Data owners that have still to enrol before an epoch can be frozen: for enough groups, and none left over."""
    least, size = terms.least_groups * terms.group_size, terms.group_size
    total = max(enrolled, least)
    while total % size > total // size:
        total += 1
    return total - enrolled


def _enrolling(state: MarketState, terms: Terms, before: str) -> Outlook:
    enrolled, noun = state.enrolled.bit_count(), f"epoch {state.epoch + 1}"
    missing = missing_owners(enrolled, terms)
    if missing:
        sentence = f"{before}{enrolled} of {enrolled + missing} data owners have enrolled for {noun}"
        return Outlook(sentence, f"{missing} more before `omnilytics epoch freeze`")
    return Outlook(
        f"{before}{enrolled} data owners have enrolled for {noun}, of at most {terms.most_owners}", "`omnilytics epoch freeze` fixes them"
    )


def _frozen(state: MarketState, block: int) -> Outlook:
    sentence = f"epoch {state.epoch} is frozen with {state.members.bit_count()} data owners"
    if block <= state.draw_block:
        return Outlook(sentence, f"`omnilytics epoch draw --wait` draws groups after block {state.draw_block:,}; this is {block:,}")
    return Outlook(sentence, "`omnilytics epoch draw` draws their groups")


def _anchored(state: MarketState, now: int) -> Outlook:
    sentence = f"round {state.round} has its task"
    if now > state.open_by:
        return Outlook(f"{sentence}, but was not opened in time", "the model owner's run anchors another task")
    return Outlook(sentence, "the model owner's run opens it with the groups that have committed", state.open_by)


def _open(state: MarketState, now: int) -> Outlook:
    groups = state.groups.bit_count()
    sentence = f"round {state.round} is open with {groups} group{'s' if groups != 1 else ''}"
    if now > state.settle_by:
        return Outlook(f"{sentence}, and overdue", "`omnilytics round timeout` pays everybody on its roster")
    silent = (state.accused & ~state.answered).bit_count()
    if silent and now <= state.answer_by:
        noun = "data owner has" if silent == 1 else "data owners have"
        return Outlook(sentence, f"{silent} accused {noun} to answer", state.answer_by)
    return Outlook(sentence, "the model owner's run settles it, or everybody on its roster is paid", state.settle_by)
