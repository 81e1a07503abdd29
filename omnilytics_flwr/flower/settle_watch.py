"""Settles an open round in time whatever the inner strategy does: between the proof and the settlement runs code that is not ours."""

from __future__ import annotations

from collections.abc import Callable
from logging import WARNING
from threading import RLock, Timer
from types import TracebackType

from .compat import log


class SettleWatch:
    """Within its ``with`` block, settles after so many seconds from a thread of its own, unless it was done before.

    Parameters
    ----------
    settle : callable
        Settles the round without a next task; called at most once.
    seconds : float
        Of real time.
    """

    def __init__(self, settle: Callable[[], None], seconds: float) -> None:
        self._settle = settle
        self._lock = RLock()
        self._is_over = False
        self._failure: BaseException | None = None
        self._timer = Timer(max(seconds, 0.0), self._intervene)
        self._timer.daemon = True

    def __enter__(self) -> SettleWatch:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            self._is_over = True

    def settle(self, settle: Callable[[], None]) -> bool:
        """Settle by this call; False if it was too late for it, and the watch has settled.

        Raises
        ------
        Exception
            What `settle` raises, or what the watch met when it settled.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._is_over:
                return False
            settle()
            self._is_over = True
            return True

    def _intervene(self) -> None:
        with self._lock:
            if self._is_over:
                return
            log(WARNING, "the inner strategy takes too long; the round is settled without a next task, which is anchored later")
            self._is_over = True
            try:
                self._settle()
            except Exception as error:
                self._failure = error
