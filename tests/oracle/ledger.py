"""A market in memory as one account sees it."""

from __future__ import annotations

from collections.abc import Iterator

from omnilytics_flwr.audit.memory_market import MemoryMarket
from omnilytics_flwr.audit.verifications import ComputedVerification
from omnilytics_flwr.crypto.kzg import BLOB_BYTES
from omnilytics_flwr.errors import BlobsMissing
from omnilytics_flwr.market.dispute import BLOBS_PER_TRANSACTION
from omnilytics_flwr.market.ledger import Ledger, Receipt
from omnilytics_flwr.market.market_view import Accusation, MarketState, Member, OwnerRecord
from omnilytics_flwr.market.scheme import Scheme, scheme_for
from omnilytics_flwr.market.stage import Event
from omnilytics_flwr.market.terms import Address, Terms

from .chain import BlobCall, World


class MemoryLedger(Ledger):
    """One account's ledger over a `World`; as many as one likes share the world.

    Parameters
    ----------
    world : World
        The chain.
    market : Address
        A market on it.
    account : Address
        Who sends.
    """

    def __init__(self, world: World, market: Address, account: Address) -> None:
        self._world = world
        self._market = market
        self._account = account

    @property
    def account(self) -> Address:
        """The account that sends."""
        return self._account

    @property
    def address(self) -> Address:
        """The market's address."""
        return self._market

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""
        return self._world.chain_id

    @property
    def model_owner(self) -> Address:
        """Who pays."""
        return self._contract.model_owner

    @property
    def block_number(self) -> int:
        """Number of the latest block; the next transaction is in the one after it."""
        return self._world.number - 1

    def now(self) -> int:
        """Timestamp of the next transaction."""
        return self._world.timestamp

    def terms(self) -> Terms:
        """The market's terms."""
        return self._contract.terms

    def scheme(self) -> Scheme:
        """How updates are packed, committed to and settled here."""
        return scheme_for(self.terms(), computed=isinstance(self._contract.verification, ComputedVerification))

    def state(self, confirmations: int = 0) -> MarketState:
        """Present state; nothing in memory is ever reorganised, so it is confirmed as often as anybody likes."""
        return self._contract.state()

    def owner_record(self, account: Address) -> OwnerRecord:
        """What the market knows of `account`."""
        return self._contract.owner_record(account)

    def members(self) -> tuple[Member, ...]:
        """Members of the present epoch, by seat."""
        return self._contract.members()

    def group_seats(self, group: int) -> int:
        """Bitmap of the seats of a group of the present epoch; 0 if there is none."""
        return self._contract.group_seats(group)

    def paid_seats(self, round_number: int) -> int:
        """Bitmap of the seats that a finished round pays."""
        return self._contract.paid_seats(round_number)

    def bond_share_wei(self, round_number: int) -> int:
        """What a timed-out round pays on top of the reward."""
        return self._contract.bond_share_wei(round_number)

    def claimable_wei(self, account: Address) -> int:
        """What `account` would get by claiming now."""
        return self._contract.claimable_wei(account)

    def blobs(self) -> int:
        """Blobs that a transaction of the world may carry."""
        return BLOBS_PER_TRANSACTION

    def answer_cost_wei(self) -> int:
        """Least deposit for one accused at the world's fees."""
        return self._contract.answer_cost_wei(self._world)

    def accusation(self, seat: int) -> Accusation:
        """The accusation of a seat in the open round; all zeros if there is none."""
        return self._contract.accusation(seat)

    def answered_vector(self, round_number: int, seat: int) -> bytes:
        """The vector with which an accused answered, from the blobs that the world keeps.

        Raises
        ------
        BlobsMissing
            It did not answer in full.
        """
        parts: dict[int, bytes] = {}
        for call in self._answers(round_number, seat):
            parts |= {call.arguments[2] + index: blob for index, blob in enumerate(call.blobs)}
        vector = b"".join(parts[polynomial] for polynomial in sorted(parts))
        expected = BLOB_BYTES * self._contract.terms.polynomials
        if len(vector) != expected:
            raise BlobsMissing(round_number, seat, len(vector), expected)
        return vector

    def answered_delivery(self, round_number: int, seat: int) -> bytes:
        """What came with that vector in a projected market.

        Raises
        ------
        BlobsMissing
            It did not answer in full.
        """
        for call in self._answers(round_number, seat):
            if delivery := call.arguments[5]:
                return bytes(delivery)
        raise BlobsMissing(round_number, seat, 0, BLOB_BYTES * self._contract.terms.polynomials)

    def _answers(self, round_number: int, seat: int) -> Iterator[BlobCall]:
        calls = self._world.blob_calls
        return (call for call in calls if (call.market, call.function, *call.arguments[:2]) == (self._market, "answer", round_number, seat))

    def check_points(self, points: bytes) -> bool:
        """The check that the verification applies to a delivery's points."""
        return self._contract.verification.check_points(points, self._contract.terms.polynomials_proven)

    @property
    def _contract(self) -> MemoryMarket:
        return self._world.markets[self._market]

    def _send(self, event: Event, *arguments: object, value_wei: int = 0, blobs: tuple[bytes, ...] = ()) -> Receipt:
        return self._world.send(self._account, self._market, event.value, arguments, value_wei, blobs)

    def _header(self, block_number: int) -> bytes:
        self._world.mine(max(0, block_number + 1 - self._world.number))
        return self._world.header(block_number)
