"""Rogues of owner homes: an attacker with an account, keys and a journal on a real chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..data_owner.journal import Journal
from ..data_owner.owner_home import OwnerHome
from .registry import rogue_named
from .rogues import Rogue

if TYPE_CHECKING:
    from ..chain.ethereum_ledger import EthereumLedger


def rogue_of_home(home: OwnerHome, ledger: EthereumLedger, name: str, **options: Any) -> Rogue:
    """The agent of an owner home, made to attack; see `rogue_named`.

    Parameters
    ----------
    home : OwnerHome
        Of the attacker.
    ledger : EthereumLedger
        The market as the attacker sees it.
    name : str
        Of family ``agent`` or ``vector``.
    **options
        What the rogue takes besides, or the fields of the vector attack.
    """
    return rogue_named(name, home.agent_for(ledger), signer=ledger.wallet, journal=Journal(home.path / "journal"), **options)
