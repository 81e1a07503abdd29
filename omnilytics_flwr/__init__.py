"""OmniLytics for Flower: a market in which data owners train a model owner's model and a contract pays them.

The names below are the public surface; each is loaded when it is first used, so that importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data_owner.home import OwnerHome as OwnerHome
    from .data_owner.policy import Policy as Policy
    from .environment import open_market as open_market
    from .errors import OmnilyticsError as OmnilyticsError
    from .flower.mod import OmnilyticsMod as OmnilyticsMod
    from .flower.mod import omnilytics_mod as omnilytics_mod
    from .flower.strategy import Omnilytics as Omnilytics
    from .market.terms import Terms as Terms
    from .simulation import LocalMarket as LocalMarket

__version__ = "0.1.0"

_HOMES = {
    "LocalMarket": ".simulation",
    "Omnilytics": ".flower.strategy",
    "OmnilyticsError": ".errors",
    "OmnilyticsMod": ".flower.mod",
    "OwnerHome": ".data_owner.home",
    "Policy": ".data_owner.policy",
    "Terms": ".market.terms",
    "omnilytics_mod": ".flower.mod",
    "open_market": ".environment",
}

__all__ = [
    "LocalMarket",
    "Omnilytics",
    "OmnilyticsError",
    "OmnilyticsMod",
    "OwnerHome",
    "Policy",
    "Terms",
    "omnilytics_mod",
    "open_market",
]


def __getattr__(name: str) -> object:
    """Load a public name from its home (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
