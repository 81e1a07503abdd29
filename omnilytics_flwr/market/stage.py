"""Stages of a market, events, and the one table of which event is allowed in which stage.

The contract and its oracle, the strategy and the mod are all tested against this table (docs/specification/protocol.md section 2).
"""

from __future__ import annotations

from enum import Enum, IntEnum

from ..errors import OutOfTurn


class Stage(IntEnum):
    """Stage of a market; the numbers are the contract's."""

    ENROLLING = 0
    FROZEN = 1
    IDLE = 2
    ANCHORED = 3
    OPEN = 4
    CLOSED = 5


class Event(Enum):
    """What may be asked of a market."""

    JOIN = "join"
    LEAVE = "leave"
    DEPART = "depart"
    FUND = "fund"
    FREEZE = "freeze"
    DRAW = "draw"
    ANCHOR = "anchor"
    OPEN = "open"
    ACCUSE = "accuse"
    ANSWER = "answer"
    SETTLE = "settle"
    TIMEOUT = "timeout"
    CLAIM = "claim"
    CLOSE = "close"
    WITHDRAW = "withdraw"


_ALWAYS = frozenset({Event.LEAVE, Event.DEPART, Event.CLAIM, Event.WITHDRAW})
_LIVE = _ALWAYS | {Event.JOIN, Event.FUND}

ALLOWED: dict[Stage, frozenset[Event]] = {
    Stage.ENROLLING: _LIVE | {Event.FREEZE, Event.CLOSE},
    Stage.FROZEN: _LIVE | {Event.DRAW, Event.CLOSE},
    Stage.IDLE: _LIVE | {Event.FREEZE, Event.ANCHOR, Event.CLOSE},
    Stage.ANCHORED: _LIVE | {Event.FREEZE, Event.ANCHOR, Event.OPEN, Event.CLOSE},
    Stage.OPEN: _LIVE | {Event.ACCUSE, Event.ANSWER, Event.SETTLE, Event.TIMEOUT},
    Stage.CLOSED: _ALWAYS,
}


DRAWN = frozenset({Stage.IDLE, Stage.ANCHORED, Stage.OPEN})
"""Stages in which the present epoch's groups have been drawn."""


def stages_for(event: Event) -> int:
    """Bitmap of the stages that allow `event`, as the contract reports it."""
    return sum(1 << stage for stage, events in ALLOWED.items() if event in events)


def check_allowed(stage: Stage, event: Event) -> None:
    """Raise `OutOfTurn` unless `stage` allows `event`."""
    if event not in ALLOWED[stage]:
        raise OutOfTurn(stage.name.lower(), event.value, tuple(sorted(e.value for e in ALLOWED[stage])))
