"""What a call gave, as the two sides of a twin are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omnilytics_flwr.errors import OmnilyticsError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave: the market's events, or the class and facts of the refusal."""

    logs: dict[str, dict[str, object]]
    refusal: tuple[str, tuple[object, ...]] | None

    @classmethod
    def refused(cls, error: OmnilyticsError) -> Outcome:
        return cls({}, (type(error).__name__, tuple(error.args)))


def or_refusal(read: Any) -> object:
    """What is read, or the refusal to tell."""
    try:
        return read()
    except OmnilyticsError as error:
        return Outcome.refused(error)
