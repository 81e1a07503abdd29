"""What Ctrl-C and SIGTERM do to a command: it ends what it has started, says one line, and its exit code is 130."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(SystemExit, KeyboardInterrupt):
    """The command was interrupted and has said so. Uncaught, it ends the process with `INTERRUPTED` and without a traceback."""

    def __init__(self) -> None:
        super().__init__(INTERRUPTED)


@contextmanager
def signals_interrupt(at_once: Callable[[], None] | None = None) -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, where this thread may say so; signals that are ignored stay ignored.

    Parameters
    ----------
    at_once : callable, optional
        Called on the first signal in place of `KeyboardInterrupt`, in the middle of whatever the thread does.
    """
    waiting = [] if at_once is None else [at_once]
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        if not waiting:
            raise KeyboardInterrupt
        waiting.pop()()

    taken = [number for number in _SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, interrupt) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into one line on stderr, said when everything in here has ended, and `Interrupted`."""
    try:
        with signals_interrupt():
            yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        raise Interrupted from None
