"""How long the model owner waits for data owners."""

from __future__ import annotations

from collections.abc import Collection

from ..clock import Clock
from ..market.terms import Address

GRACE = 2
"""How many times as long as the slowest group that was accepted in the last round took are data owners waited for that were absent before."""

PATIENCE = 4
"""The same for others: as many times as long as the slowest that was accepted in the last round, or has replied in this exchange."""

LEAST_PATIENCE_SECONDS = 60
"""But never less: chains show a task or an opening to some nodes some blocks later than to others."""

LEAST_DELIVER_PATIENCE_SECONDS = 300
"""The same for deliveries, which data owners give only once the opening is confirmed."""


class Pace:
    """How long data owners take to reply in one kind of exchange."""

    def __init__(self, clock: Clock, least_patience_seconds: float) -> None:
        self._clock = clock
        self._least_patience = least_patience_seconds
        self._start = 0.0
        self._seconds: dict[Address, float] = {}
        self._usual: float | None = None

    def begin(self, accepted: Collection[Address]) -> None:
        """Begin an exchange; `accepted` are the data owners whose replies to the last one were honest."""
        seconds = [self._seconds[owner] for owner in accepted if owner in self._seconds]
        self._usual = max(seconds) if seconds else self._usual
        self._start, self._seconds = self._clock.now(), {}

    def note(self, owner: Address) -> None:
        """A data owner has replied."""
        self._seconds.setdefault(owner, self.seconds())

    def seconds(self) -> float:
        """Since the exchange began."""
        return self._clock.now() - self._start

    def grace_over(self) -> bool:
        """Whether honest data owners would have replied by now; False before anybody's pace is known."""
        return self._usual is not None and self.seconds() >= GRACE * self._usual

    def patience_over(self) -> bool:
        """Whether whoever has not replied is much slower than all others; False if nobody has replied."""
        if not self._seconds:
            return False
        return self.seconds() >= max(self._least_patience, PATIENCE * max(self._usual or 0.0, *self._seconds.values()))
