"""A ledger that does not give up at once: while a round is open, the bond depends on reaching the chain again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from ..clock import Clock
from ..errors import BlobsMissing, ChainError, NotFunded, ToolMissing, UnknownMarket, UnsupportedChain, WrongChain
from ..market.ledger import ModelOwnerLedger

PATIENCE_SECONDS = 900.0
"""How long a chain that cannot be reached is asked again."""

HOPELESS = (ToolMissing, UnknownMarket, UnsupportedChain, WrongChain, BlobsMissing)
"""Trouble with a chain that asking again does not cure."""

T = TypeVar("T")


def insist(
    call: Callable[[], T],
    clock: Clock,
    *,
    seconds: float = PATIENCE_SECONDS,
    until_funded: bool = False,
    on_trouble: Callable[[ChainError], None] = lambda error: None,
) -> T:
    """Make a call, and again while the chain fails.

    Parameters
    ----------
    seconds : float (default: 900)
        How long to keep trying.
    until_funded : bool (default: False)
        Whether to wait for ether that the account lacks.
    on_trouble : callable, optional
        Called with each error that differs from the last.

    Raises
    ------
    ChainError
        The last one, when the time is over; at once if it is hopeless.
    """
    give_up_at, told = clock.now() + seconds, ""
    while True:
        try:
            return call()
        except ChainError as error:
            hopeless = isinstance(error, HOPELESS) or (isinstance(error, NotFunded) and not until_funded)
            if hopeless or clock.now() >= give_up_at:
                raise
            if str(error) != told:
                told = str(error)
                on_trouble(error)
        clock.pause()


class PatientLedger:
    """Makes every call to a ledger again while the chain fails, for `PATIENCE_SECONDS`.

    A transaction without a receipt is asked for again under the same nonce, so nothing is sent twice.
    """

    def __init__(self, ledger: ModelOwnerLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        if not callable(value):
            return value

        def insistent(*arguments: object, **options: object) -> Any:
            return insist(partial(value, *arguments, **options), self._clock)

        return insistent


def patient(ledger: ModelOwnerLedger, clock: Clock) -> ModelOwnerLedger:
    """`ledger`, made patient."""
    return cast("ModelOwnerLedger", PatientLedger(ledger, clock))
