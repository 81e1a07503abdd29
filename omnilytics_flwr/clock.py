"""The clock of this process: measures time and waits; tests can pretend the waits."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Measures time that passes, and waits.

    Parameters
    ----------
    wait : callable (default: `time.sleep`)
        Lets a number of seconds pass, or only pretends to.
    poll_seconds : float, > 0 (default: 3)
        Between two looks at something that may have changed.
    """

    def __init__(self, wait: Callable[[float], None] = time.sleep, poll_seconds: float = 3.0) -> None:
        self._wait = wait
        self._ahead = 0.0
        self.poll_seconds = poll_seconds

    def now(self) -> float:
        """Seconds since some moment in the past; never goes back."""
        return time.monotonic() + self._ahead

    def wait(self, seconds: float) -> None:
        """Wait; at least this many seconds are over afterwards by `now`, even if they were only pretended."""
        until = self.now() + seconds
        self._wait(seconds)
        self._ahead += max(until - self.now(), 0.0)

    def pause(self, times: int = 1) -> None:
        """Wait until it is worth looking again: `poll_seconds`, or several times as long."""
        self.wait(times * self.poll_seconds)
