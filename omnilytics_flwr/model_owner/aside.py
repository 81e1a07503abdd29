"""Calls a user's function beside a round: neither its failure nor its silence holds the round up."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Thread
from typing import Generic, ParamSpec

Told = ParamSpec("Told")

CALLBACK_SECONDS = 15.0
"""How long a round waits for a callback to return: a display takes less, and what hangs must not take the time that is left to settle."""

_Call = tuple["Future[None]", Callable[[], object]]


class Aside(Generic[Told]):
    """Calls `function` in a thread of its own, call after call, and waits for each one, until one takes too long.

    What that one is told of later it is told of once it returns, in order. What ends a program, such as `SystemExit`, is raised where the
    call was waited for, or by the next call.

    Parameters
    ----------
    function : callable
    on_trouble : callable
        Called with a sentence if `function` fails or does not return.
    """

    def __init__(self, function: Callable[Told, object], on_trouble: Callable[[str], None]) -> None:
        self._function = function
        self._on_trouble = on_trouble
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._last: Future[None] | None = None
        self._late: deque[Future[None]] = deque()

    def __call__(self, *told: Told.args, **named: Told.kwargs) -> None:
        """Call the function."""
        if self._thread is None:
            self._thread = Thread(target=_work, args=(self._calls,), daemon=True)
            self._thread.start()
            weakref.finalize(self, self._calls.put, None)
        self._hear_late()
        call: Future[None] = Future()
        self._calls.put((call, lambda: self._function(*told, **named)))
        seconds = CALLBACK_SECONDS if self._last is None or self._last.done() else 0.0
        self._last = call
        wait([call], seconds)
        if call.done():
            self._hear(call)
            return
        self._late.append(call)
        if seconds:
            self._on_trouble(f"a callback has not returned after {seconds:g} s, and the round goes on without it")

    def _hear_late(self) -> None:
        """Tell what became of calls that are over by now, and were not waited for to their end."""
        while self._late and self._late[0].done():
            self._hear(self._late.popleft())

    def _hear(self, call: Future[None]) -> None:
        error = call.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        if error is not None:
            self._on_trouble(f"a callback failed, and the round goes on without it: {error!r}")


def _work(calls: SimpleQueue[_Call | None]) -> None:
    while (found := calls.get()) is not None:
        call, function = found
        try:
            function()
            call.set_result(None)
        except BaseException as error:  # it is raised where the call is waited for
            call.set_exception(error)
        del found, call, function
