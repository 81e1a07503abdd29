"""A market in memory as one account sees it."""

from __future__ import annotations

from omnilytics_flwr.errors import BlobsMissing
from omnilytics_flwr.market.dispute import BLOB_BYTES, usual_deposit_wei
from omnilytics_flwr.market.draw import draw_order
from omnilytics_flwr.market.ledger import Accusation, MarketState, Member, OwnerRecord, Receipt
from omnilytics_flwr.market.terms import Address, Terms

from . import disputes
from .market import MemoryMarket
from .world import World


class MemoryLedger:
    """The `Ledger` of one account over a `World`; as many as one likes share the world.

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

    def now(self) -> int:
        """Timestamp of the next transaction."""
        return self._world.timestamp

    def terms(self) -> Terms:
        """The market's terms."""
        return self._contract.terms

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

    def answer_cost_wei(self) -> int:
        """Least deposit for one accused at the world's fees."""
        return disputes.cost_wei(self._contract, self._world)

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
        answers: dict[int, bytes] = {}
        for call in self._world.blob_calls:
            if (call.market, call.function, *call.arguments[:2]) == (self._market, "answer", round_number, seat):
                _, _, _, first, count = call.arguments
                answers[first] = b"".join(call.blobs[:count])
        vector = b"".join(answers[first] for first in sorted(answers))
        expected = BLOB_BYTES * self._contract.terms.polynomials
        if len(vector) != expected:
            raise BlobsMissing(round_number, seat, len(vector), expected)
        return vector

    def check_points(self, points: bytes) -> bool:
        """The check that the verification applies to a delivery's points."""
        return self._contract.verification.check_points(points, self._contract.terms.polynomials)

    def join(self, mask_key: bytes, admission_data: bytes = b"") -> Receipt:
        """Register if new, or with a stake lost, paying it; enrol for the next epoch."""
        held = self._contract.storage
        record = held.record(self._account)
        staked = record.registered and held.staked >> record.seat & 1
        return self._send("join", mask_key, admission_data, value_wei=0 if staked else self._contract.terms.stake_wei)

    def leave(self) -> Receipt:
        """Give notice."""
        return self._send("leave")

    def depart(self, owner: Address | None = None) -> Receipt:
        """Give up a seat, that of the account if no owner is named, for its stake and what it is owed."""
        return self._send("depart", owner or self._account)

    def fund(self, amount_wei: int) -> Receipt:
        """Add to the escrow."""
        return self._send("fund", amount_wei, value_wei=amount_wei)

    def freeze(self) -> Receipt:
        """Fix the next epoch's members."""
        return self._send("freeze")

    def draw(self) -> Receipt:
        """Draw the groups with the header of the draw's block, once that block is past."""
        held = self._contract.storage
        self._world.mine(max(0, held.draw_block + 1 - self._world.number))
        header = self._world.header(held.draw_block)
        seed = self._contract.draw_seed(header)
        owners = {member.seat: member.owner for member in self._contract.members()}
        return self._send("draw", header, bytes(draw_order(seed, owners)))

    def anchor(self, task_hash: bytes) -> Receipt:
        """Start a round."""
        return self._send("anchor", task_hash)

    def open(self, round_number: int, groups: int, digests: tuple[bytes, ...], signatures: tuple[bytes, ...]) -> Receipt:
        """Open the round; signatures are 64 bytes each (EIP-2098)."""
        return self._send("open", round_number, groups, digests, b"".join(signatures))

    def accuse(self, round_number: int, seats: int, digests: tuple[bytes, ...], deposit_wei: int | None = None) -> Receipt:
        """Accuse members of not having delivered; by default with a quarter more than what an answer costs."""
        each_wei = self._contract.terms.accuse_fee_wei
        each_wei += usual_deposit_wei(self.answer_cost_wei()) if deposit_wei is None else deposit_wei
        return self._send("accuse", round_number, seats, digests, value_wei=seats.bit_count() * each_wei)

    def answer(self, round_number: int, seat: int, points: bytes, first: int, blobs: tuple[bytes, ...]) -> Receipt:
        """Answer for an accused with the polynomials from `first` on as blobs."""
        return self._send("answer", round_number, seat, points, first, len(blobs), blobs=blobs)

    def settle(self, round_number: int, settlement: bytes, waived: int, next_task_hash: bytes) -> Receipt:
        """Settle the open round."""
        return self._send("settle", round_number, settlement, waived, next_task_hash)

    def timeout(self, round_number: int) -> Receipt:
        """Pay the roster of a round that was not settled in time."""
        return self._send("timeout", round_number)

    def claim(self, owner: Address, through_round: int) -> Receipt:
        """Pay `owner` its finished rounds."""
        return self._send("claim", owner, through_round)

    def close(self) -> Receipt:
        """End the market."""
        return self._send("close")

    def withdraw(self, account: Address) -> Receipt:
        """Pay out a credit and the ether that disputes freed."""
        return self._send("withdraw", account)

    @property
    def _contract(self) -> MemoryMarket:
        return self._world.markets[self._market]

    def _send(self, function: str, *arguments: object, value_wei: int = 0, blobs: tuple[bytes, ...] = ()) -> Receipt:
        return self._world.send(self._account, self._market, function, arguments, value_wei, blobs)
