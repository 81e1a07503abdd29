"""Where `omnilytics_mod` stands among a client app's mods.

It must be the first of the whole app: a mod around it sees what is not meant for it (a request without arrays, a reply of masked numbers) and
breaks the round, and a mod of one function alone leaves the others unguarded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

from flwr.clientapp import ClientApp

from ..errors import Refused

_MOD = "_mod"
"""The variable in which Flower keeps a mod in the function that it wraps around it."""


def check_place(mod: object) -> None:
    """Raise unless `mod`, which called this function, is the first mod of the whole app that calls it.

    Flower does not tell a mod of the others, but calls each from a function of its own. Where no client app is among the callers nothing is
    checked.

    Raises
    ------
    Refused
        With the right order.
    """
    around: list[object] = []
    for frame in _callers():
        if frame.f_code is ClientApp.__call__.__code__:
            _check(mod, around, frame.f_locals["self"])
            return
        caller = frame.f_locals.get(_MOD)
        if callable(caller) and caller is not mod:
            around.append(caller)


def _check(mod: object, around: list[object], app: ClientApp) -> None:
    if around:
        names = ", ".join(_name(other) for other in reversed(around))
        raise Refused(f"{names} stands before omnilytics_mod; expected it to be the first: ClientApp(mods=[omnilytics_mod, {names}])")
    if not any(other is mod for other in app._mods):
        raise Refused(
            "omnilytics_mod is given to one function of the app, which leaves the others unguarded; expected it to be given to the app: "
            "ClientApp(mods=[omnilytics_mod])"
        )


def _callers() -> Iterator[FrameType]:
    frame = sys._getframe(2).f_back
    while frame is not None:
        yield frame
        frame = frame.f_back


def _name(mod: object) -> str:
    return str(getattr(mod, "__name__", type(mod).__name__))
