"""What a chain has of a market: the transactions that reached it, as anybody can read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..market.market_view import MarketState, Member, OwnerRecord
from ..market.terms import Address, Terms

MarketLog = tuple[str, Mapping[str, object]]
"""Name and fields of one of the market's events, with the contract's names."""


@dataclass(frozen=True, slots=True)
class MarketCall:
    """One call of a market's function, with the contract's arguments in order."""

    sender: Address
    function: str
    arguments: tuple[object, ...]
    value_wei: int = 0


@dataclass(frozen=True, slots=True)
class TokenTransfer:
    """Some of a token's smallest units that went to a market or came from it."""

    sender: Address
    to: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTransaction:
    """A transaction that changed a market.

    Attributes
    ----------
    transaction_hash : str
        ``0x`` and 64 digits.
    block, timestamp : int
        Of its block; Unix seconds.
    sender : Address
        Who signed and paid for it.
    calls : tuple of MarketCall, or None
        What it asked of the market, in order; None if the node does not show it.
    logs : tuple of (str, mapping)
        The market's events, in order.
    transfers : tuple of TokenTransfer
        Of the market's token, to and from the market.
    blob_hashes : tuple of bytes
        Versioned hashes of its blobs.
    base_fee_wei : int
        Of its block, for a unit of gas.
    blob_base_fee_wei : int or None
        The same for blob gas; None if the node does not tell.
    gas_used, fee_wei : int
    """

    transaction_hash: str
    block: int
    timestamp: int
    sender: Address
    calls: tuple[MarketCall, ...] | None
    logs: tuple[MarketLog, ...]
    transfers: tuple[TokenTransfer, ...] = ()
    blob_hashes: tuple[bytes, ...] = ()
    base_fee_wei: int = 0
    blob_base_fee_wei: int | None = None
    gas_used: int = 0
    fee_wei: int = 0


@dataclass(frozen=True, slots=True)
class OwnerFacts:
    """What a market tells of one data owner."""

    record: OwnerRecord
    claimable_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketEnd:
    """A market as it says it is after all transactions of a history.

    Attributes
    ----------
    block : int
    state : MarketState
    members : tuple of Member
    owners : dict of Address to OwnerFacts
        Everybody who ever joined.
    payouts : dict of int to (int, int)
        Of each finished round the bitmap of paid seats, and the share of the bond in wei.
    balance_wei : int
        Its ether.
    token_balance : int
        Its tokens, if it pays in tokens.
    """

    block: int
    state: MarketState
    members: tuple[Member, ...]
    owners: Mapping[Address, OwnerFacts]
    payouts: Mapping[int, tuple[int, int]]
    balance_wei: int
    token_balance: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketHistory:
    """Everything that an audit looks at.

    Attributes
    ----------
    chain_id : int
    market, model_owner : Address
    terms : Terms
    blobs : int
        That a transaction of the chain may carry.
    transactions : tuple of MarketTransaction
        In the order of the chain.
    block_hashes : mapping of int to bytes
        Of the blocks whose randomness drew groups.
    end : MarketEnd
    """

    chain_id: int
    market: Address
    model_owner: Address
    terms: Terms
    blobs: int
    transactions: tuple[MarketTransaction, ...]
    end: MarketEnd
    block_hashes: Mapping[int, bytes] = field(default_factory=dict)
