"""The functions of a market by their names in the contract."""

from __future__ import annotations

from collections.abc import Callable

from . import disputes, enrolment, epochs, money, rounds

FUNCTIONS: dict[str, Callable[..., None]] = {
    "join": enrolment.join,
    "leave": enrolment.leave,
    "depart": enrolment.depart,
    "claim": enrolment.claim,
    "freeze": epochs.freeze,
    "draw": epochs.draw,
    "close": epochs.close,
    "anchor": rounds.anchor,
    "open": rounds.open_round,
    "accuse": disputes.accuse,
    "answer": disputes.answer,
    "settle": rounds.settle,
    "timeout": rounds.timeout,
    "fund": money.fund,
    "withdraw": money.withdraw,
}
"""Each takes the market, the call, and the contract's arguments: addresses as text, numbers, bytes, tuples of bytes."""
