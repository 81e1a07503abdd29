"""A ledger that does not give up at once: while a round is open, the bond depends on the chain being reached again."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

from ..errors import BlobsMissing, ChainError, NotFunded, ToolMissing, UnknownMarket, UnsupportedChain, WrongChain
from ..market.ledger import ModelOwnerLedger

PATIENCE_SECONDS = 900.0
"""How long a chain that cannot be reached is asked again."""

HOPELESS = (ToolMissing, UnknownMarket, UnsupportedChain, WrongChain)
"""Trouble with a chain that neither time nor help cures while a round is open."""

LASTING = (*HOPELESS, BlobsMissing, NotFunded)
"""Trouble with a chain that asking again does not cure by itself."""

T = TypeVar("T")


def insist(
    call: Callable[[], T],
    *,
    seconds: float,
    wait: Callable[[float], None],
    poll_seconds: float,
    lasting: tuple[type[ChainError], ...] = LASTING,
    on_trouble: Callable[[ChainError], None] = lambda error: None,
) -> T:
    """What a call gives, which is made again while the chain fails.

    Parameters
    ----------
    call : callable
    seconds : float
        How long it is made again.
    wait : callable
        Lets so many seconds pass.
    poll_seconds : float, > 0
        Between two tries.
    lasting : tuple of types (default: `LASTING`)
        Errors that are raised at once.
    on_trouble : callable, optional
        Called with each error that is not the same as the last.
    """
    begun, waited, told = time.monotonic(), 0.0, ""
    while True:
        try:
            return call()
        except lasting:
            raise
        except ChainError as error:
            if max(time.monotonic() - begun, waited) >= seconds:
                raise
            if str(error) != told:
                told = str(error)
                on_trouble(error)
        wait(poll_seconds)
        waited += poll_seconds


class _Patient:
    """Calls every method of a ledger again while the chain fails."""

    def __init__(self, ledger: ModelOwnerLedger, wait: Callable[[float], None], poll_seconds: float) -> None:
        self._ledger = ledger
        self._wait = wait
        self._poll_seconds = poll_seconds

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        return self._again(value) if callable(value) else value

    def _again(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def patient(*arguments: object, **options: object) -> Any:
            again = partial(call, *arguments, **options)
            return insist(again, seconds=PATIENCE_SECONDS, wait=self._wait, poll_seconds=self._poll_seconds)

        return patient


def patient(ledger: ModelOwnerLedger, *, wait: Callable[[float], None], poll_seconds: float) -> ModelOwnerLedger:
    """`ledger`, whose methods ask again for `PATIENCE_SECONDS` if the chain cannot be reached.

    A transaction without a receipt is asked for again under the same nonce, so that nothing is sent twice.

    Parameters
    ----------
    ledger : ModelOwnerLedger
    wait : callable
        Lets so many seconds pass.
    poll_seconds : float, > 0
        Between two tries.
    """
    return cast("ModelOwnerLedger", _Patient(ledger, wait, poll_seconds))
