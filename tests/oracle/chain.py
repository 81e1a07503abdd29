"""A chain in memory: blocks, a clock, ether, and the markets that run on it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import rlp

from omnilytics_flwr.audit.market_base import Call, refused
from omnilytics_flwr.audit.memory_market import MemoryMarket
from omnilytics_flwr.crypto.field import FieldVector, N
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.errors import NotFunded, TermsError, UnknownMarket, WrongLength
from omnilytics_flwr.market.dispute import BLOBS_PER_TRANSACTION, blob_hash_of
from omnilytics_flwr.market.draw import HISTORY_BLOCKS, PREVRANDAO_FIELD
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.stage import Event
from omnilytics_flwr.market.terms import Address

GENESIS_SECONDS = 1_800_000_000


@dataclass(frozen=True, slots=True)
class BlobCall:
    """A call that came with blobs."""

    market: Address
    function: str
    arguments: tuple[Any, ...]
    blobs: tuple[bytes, ...]


@dataclass
class World:
    """A chain with a block for every transaction.

    Attributes
    ----------
    chain_id : int
        EIP-155 chain id.
    base_fee_wei, blob_base_fee_wei : int
        What a unit of gas, and of blob gas, costs at least; nobody is charged, but accusations are priced by them.
    number : int
        Block that the next transaction will be in.
    timestamp : int
        Unix seconds of that block.
    balances : dict of Address to int
        Ether of every account in wei; fees are not charged.
    refusing : set of Address
        Accounts that take no ether.
    headers : dict of int to bytes
        RLP headers of blocks that were given one; every other block has one of its own making.
    markets : dict of Address to MemoryMarket
        Every market on this chain.
    blob_calls : list of BlobCall
        Every call that came with blobs and was not refused.
    """

    chain_id: int = 31337
    base_fee_wei: int = 7
    blob_base_fee_wei: int = 1
    number: int = 1
    timestamp: int = GENESIS_SECONDS
    balances: dict[Address, int] = field(default_factory=dict)
    refusing: set[Address] = field(default_factory=set)
    headers: dict[int, bytes] = field(default_factory=dict)
    markets: dict[Address, MemoryMarket] = field(default_factory=dict)
    blob_calls: list[BlobCall] = field(default_factory=list)

    def header(self, number: int) -> bytes:
        """RLP header of a block that is past."""
        return self.headers.get(number) or _plain_header(self.chain_id, number)

    def block_hash(self, number: int) -> bytes | None:
        """Hash of a block that is past and still in history, otherwise None."""
        if not self.number - HISTORY_BLOCKS <= number < self.number:
            return None
        return keccak256(self.header(number))

    def mine(self, blocks: int = 1, *, seconds_each: int = 1) -> None:
        """Let blocks without transactions pass."""
        self.number += blocks
        self.timestamp += blocks * seconds_each

    def wait(self, seconds: int) -> None:
        """Let time pass before the next block."""
        self.timestamp += seconds

    def force(self, market: Address, amount_wei: int) -> None:
        """Add ether to a market that never asked for it, as a validator's withdrawal does."""
        self.balances[market] = self.balances.get(market, 0) + amount_wei

    def deploy(self, market: MemoryMarket) -> None:
        """Put a market on this chain."""
        self.markets[market.address] = market

    def send(
        self,
        sender: Address,
        market: Address,
        function: str,
        arguments: tuple[object, ...],
        value_wei: int = 0,
        blobs: tuple[bytes, ...] = (),
    ) -> Receipt:
        """Call a market's function in a block of its own; if it is refused, nothing has changed and no block passes.

        Raises
        ------
        WireError
            No chain takes these blobs: more than six, or not 131,072 bytes of field elements each.
        UnknownMarket
            There is no market at the address.
        NotFunded
            The sender has less ether than it sends.
        LedgerError
            The market or its verification refuses.
        """
        if market not in self.markets:
            raise UnknownMarket(f"there is no market at {market}; expected one of {list(self.markets)}; check the address")
        if self.balances.get(sender, 0) < value_wei:
            raise NotFunded(f"{sender} has {self.balances.get(sender, 0)} wei; it sends {value_wei} wei; give it ether")
        before = self.snapshot()
        call = Call(self, sender, value_wei, _blob_hashes(blobs))
        try:
            self.transfer(sender, market, value_wei)
            getattr(self.markets[market], Event(function).value)(call, *arguments)
        except BaseException:
            self.restore(before)
            raise
        if blobs:
            self.blob_calls.append(BlobCall(market, function, arguments, blobs))
        receipt = Receipt(function, block=self.number, logs=call.logs)
        self.mine()
        return receipt

    def transfer(self, sender: Address, to: Address, amount_wei: int) -> None:
        """Move ether; raises `PaymentFailed` if the receiver takes none."""
        if to in self.refusing:
            raise refused("PaymentFailed", to, amount_wei)
        self.balances[sender] = self.balances.get(sender, 0) - amount_wei
        self.balances[to] = self.balances.get(to, 0) + amount_wei

    def transfer_token(self, token: Address, sender: Address, to: Address, amount: int) -> None:
        """Nothing here is paid in tokens."""
        raise TermsError(f"a chain in memory has no tokens, and nothing at {token}; use a chain for tokens")

    def snapshot(self) -> Mapping[str, object]:
        """Everything that can change, for `restore`."""
        held: dict[str, object] = {name: copy(value) for name, value in vars(self).items()}
        held["storages"] = {address: market.storage.copy() for address, market in self.markets.items()}
        return held

    def restore(self, held: Mapping[str, object]) -> None:
        """Go back to a `snapshot`, which stays usable."""
        kept = dict(held)
        storages = kept.pop("storages")
        for name, value in kept.items():
            setattr(self, name, copy(value))
        for address, market in self.markets.items():
            market.storage = storages[address].copy()  # type: ignore[index]


def _plain_header(chain_id: int, number: int) -> bytes:
    """A block's header with nothing in it but its number, and a prevrandao that follows from chain and number."""
    fields = [b""] * 21
    fields[8] = number.to_bytes((number.bit_length() + 7) // 8, "big")
    fields[PREVRANDAO_FIELD] = keccak256(b"prevrandao" + word(chain_id) + word(number))
    return bytes(rlp.encode(fields))


def _blob_hashes(blobs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Versioned hashes of a transaction's blobs, at most six of 131,072 bytes of field elements."""
    if len(blobs) > BLOBS_PER_TRANSACTION:
        raise WrongLength("a transaction's list of blobs", len(blobs), BLOBS_PER_TRANSACTION)
    return tuple(map(_blob_hash, blobs))


@lru_cache(maxsize=32)
def _blob_hash(blob: bytes) -> bytes:
    return blob_hash_of(commit(FieldVector.from_bytes(blob, N)))
