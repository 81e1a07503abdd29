"""OmniLytics for Flower: a market in which data owners train a model owner's model and a contract pays them.

The public surface is the names below and the errors of `omnilytics_flwr.errors`. Each name is loaded on first use, so importing the
package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .chain.deploy import Deployment as Deployment
    from .chain.deploy import create_market as create_market
    from .chain.deploy import deploy as deploy
    from .chain.ethereum_ledger import EthereumLedger as EthereumLedger
    from .data_owner.owner_home import OwnerHome as OwnerHome
    from .data_owner.policy import Policy as Policy
    from .environment import open_market as open_market
    from .errors import OmnilyticsError as OmnilyticsError
    from .evm.anvil import Anvil as Anvil
    from .evm.anvil import AnvilOptions as AnvilOptions
    from .evm.connection import Connection as Connection
    from .evm.connection import TransactionRecord as TransactionRecord
    from .evm.connection import connect as connect
    from .evm.wallet import Secret as Secret
    from .evm.wallet import Wallet as Wallet
    from .evm.wallet import dev_wallet as dev_wallet
    from .evm.wallet_sender import sender_for as sender_for
    from .flower.mod import OmnilyticsMod as OmnilyticsMod
    from .flower.mod import omnilytics_mod as omnilytics_mod
    from .flower.strategy import Omnilytics as Omnilytics
    from .local_market import LocalMarket as LocalMarket
    from .market.market_view import MarketState as MarketState
    from .market.stage import Stage as Stage
    from .market.terms import Address as Address
    from .market.terms import Terms as Terms
    from .market.terms_bounds import ChainLimits as ChainLimits
    from .model_owner.round_report import RoundReport as RoundReport

__version__ = "0.1.0"

_NAMES_OF = {
    "omnilytics_flwr.chain.deploy": ("Deployment", "create_market", "deploy"),
    "omnilytics_flwr.chain.ethereum_ledger": ("EthereumLedger",),
    "omnilytics_flwr.data_owner.owner_home": ("OwnerHome",),
    "omnilytics_flwr.data_owner.policy": ("Policy",),
    "omnilytics_flwr.environment": ("open_market",),
    "omnilytics_flwr.errors": ("OmnilyticsError",),
    "omnilytics_flwr.evm.anvil": ("Anvil", "AnvilOptions"),
    "omnilytics_flwr.evm.connection": ("Connection", "TransactionRecord", "connect"),
    "omnilytics_flwr.evm.wallet": ("Secret", "Wallet", "dev_wallet"),
    "omnilytics_flwr.evm.wallet_sender": ("sender_for",),
    "omnilytics_flwr.flower.mod": ("OmnilyticsMod", "omnilytics_mod"),
    "omnilytics_flwr.flower.strategy": ("Omnilytics",),
    "omnilytics_flwr.market.market_view": ("MarketState",),
    "omnilytics_flwr.market.stage": ("Stage",),
    "omnilytics_flwr.market.terms": ("Address", "Terms"),
    "omnilytics_flwr.market.terms_bounds": ("ChainLimits",),
    "omnilytics_flwr.model_owner.round_report": ("RoundReport",),
    "omnilytics_flwr.local_market": ("LocalMarket",),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
