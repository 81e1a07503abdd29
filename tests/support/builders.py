"""Short makers of terms, accounts, small vectors, markets in memory and signed commitments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from py_arkworks_bls12381 import Scalar

from omnilytics_flwr.crypto.ceremony import lagrange_points
from omnilytics_flwr.crypto.curve import encode_point
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import ELEMENT_BYTES, N
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.statement import Statement, Verdict, VerificationWrongLength, VerificationWrongOpening
from omnilytics_flwr.market.dispute import lapsed, void_groups
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.messages import Commitment, Delivery, compact
from omnilytics_flwr.market.roster import bitmap_of, bits_of, groups_at, roster_hash, roster_seats
from omnilytics_flwr.market.terms import Address, Terms
from tests.oracle import Gate, MemoryLedger, MemoryMarket, Verification, World

MARKET = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
VERIFICATION = Address("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512")
WEALTH_WEI = 10**9
MODEL_OWNER, STRANGER = 1000, 1001
"""Numbers of the accounts that are no data owner."""


def make_terms(**changes: object) -> Terms:
    """Small terms: groups of 3, f = 1, hence 15 data owners or more; a bond that no small number divides."""
    values: dict[str, object] = {
        "verification": VERIFICATION,
        "reward_wei": 1_000,
        "stake_wei": 5_000,
        "bond_wei": 10_007,
        "most_owners": 20,
        "group_size": 3,
        "faulty_groups": 1,
        "outlier_percent": 0,
        "weights": 100,
        "update_bits": 8,
        "clip_nano": 10**9,
        "norm_bound": 10**6,
        "rounds_per_epoch": 8,
        "commit_seconds": 60,
        "accuse_seconds": 80,
        "answer_seconds": 1800,
        "prove_seconds": 141,
        "draw_delay_blocks": 2,
    }
    return Terms(**(values | changes))  # type: ignore[arg-type]


@cache
def make_account(number: int) -> LocalAccount:
    """A local account; the same number gives the same one."""
    account: LocalAccount = Account.from_key(keccak256(b"account" + word(number)))
    return account


def address_of(number: int) -> Address:
    """Address of `make_account`."""
    return Address(make_account(number).address)


@cache
def make_mask_key(number: int, epoch: int = 1) -> bytes:
    """An X25519 public key for a data owner's epoch."""
    secret = X25519PrivateKey.from_private_bytes(keccak256(b"mask key" + word(number) + word(epoch)))
    return secret.public_key().public_bytes_raw()


@cache
def sign_hash(number: int, signing_hash: bytes) -> bytes:
    """Compact signature of an account, 64 bytes."""
    return compact(bytes(make_account(number).unsafe_sign_hash(Hash32(signing_hash)).signature))


def make_task(number: int) -> bytes:
    """A task hash."""
    return keccak256(b"task" + word(number))


# ------------------------------------------------------------------------------------------------------------------ small vectors

# Polynomials of which one element is not zero, so that a commitment takes one multiplication.

ELEMENT = 17
"""Place of the element that is not zero."""


def make_value(seat: int, round_number: int, polynomial: int) -> int:
    """The one element of a polynomial, which only this seat has in this round."""
    return int.from_bytes(keccak256(b"value" + word(seat) + word(round_number) + word(polynomial))[:16], "big")


@cache
def make_points(seat: int, round_number: int, polynomials: int = 1) -> bytes:
    """Commitments of a seat's vector in a round."""
    values = [make_value(seat, round_number, k) for k in range(polynomials)]
    return b"".join(encode_point(lagrange_points()[ELEMENT] * Scalar(value)) for value in values)


def make_digest(seat: int, round_number: int, polynomials: int = 1) -> bytes:
    """A digest that only this seat has in this round; `make_blob` answers for it."""
    return points_digest(make_points(seat, round_number, polynomials))


@cache
def make_blob(seat: int, round_number: int, polynomial: int = 0) -> bytes:
    """A polynomial of a seat's vector as a blob."""
    return blob_of(make_value(seat, round_number, polynomial))


def make_blobs(seat: int, round_number: int, first: int, count: int) -> tuple[bytes, ...]:
    """Blobs of `count` polynomials from `first` on."""
    return tuple(make_blob(seat, round_number, polynomial) for polynomial in range(first, first + count))


def blob_of(value: int) -> bytes:
    """The blob whose one element has this value."""
    return bytes(ELEMENT * ELEMENT_BYTES) + word(value) + bytes((N - ELEMENT - 1) * ELEMENT_BYTES)


def value_of(blob: bytes) -> int | None:
    """The value of a blob's one element; None if it has others."""
    value = int.from_bytes(blob[ELEMENT * ELEMENT_BYTES : (ELEMENT + 1) * ELEMENT_BYTES], "big")
    return value if blob == blob_of(value) else None


# ----------------------------------------------------------------------------------------------------------------------- markets


class DictatedVerification:
    """A verification that believes its settlement, ``abi.encode(bytes32[] digests, uint256[] distances)``, unless it is empty."""

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        if not settlement:
            raise VerificationWrongOpening
        digests, distances = abi_decode(["bytes32[]", "uint256[]"], settlement)
        return Verdict(tuple(digests), tuple(distances))

    def check_points(self, points: bytes, polynomials: int) -> bool:
        if len(points) != 96 * polynomials:
            raise VerificationWrongLength(len(points), 96 * polynomials)
        return True


def dictate(digests: Sequence[bytes], distances: Sequence[int]) -> bytes:
    """Settlement from which `DictatedVerification` reads this verdict."""
    return abi_encode(["bytes32[]", "uint256[]"], [list(digests), list(distances)])


def equal_distances(groups: int) -> tuple[int, ...]:
    """Distances of `groups` groups that all have the zero update."""
    return (0,) * (groups * (groups + 1) // 2)


@dataclass
class Scene:
    """A market in memory, its model owner, and the data owners 0 .. n - 1, all with ether."""

    world: World
    market: MemoryMarket
    num_owners: int

    def ledger(self, number: int = MODEL_OWNER) -> MemoryLedger:
        """The market as an account sees it; the model owner if none is named."""
        return MemoryLedger(self.world, self.market.address, address_of(number))

    @property
    def state(self) -> MarketState:
        return self.market.state()

    @property
    def terms(self) -> Terms:
        return self.market.terms

    def number_of(self, address: Address) -> int:
        """Number of the account with this address."""
        numbers: tuple[int, ...] = (*range(self.num_owners), MODEL_OWNER, STRANGER)
        return next(number for number in numbers if address_of(number) == address)

    def join(self, *numbers: int) -> None:
        """Enrol these data owners, all if none is named."""
        for number in numbers or range(self.num_owners):
            self.ledger(number).join(make_mask_key(number, self.state.epoch + 1))

    def freeze_and_draw(self) -> None:
        self.ledger().freeze()
        self.ledger().draw()

    def anchor(self) -> None:
        """Anchor a task of its own for the next round."""
        self.ledger().anchor(make_task(self.state.round + 1))

    def all_groups(self) -> int:
        """Bitmap of all groups of the epoch."""
        return (1 << len(self.market.storage.groups)) - 1

    def seats_of(self, groups: int) -> tuple[int, ...]:
        """Seats of a roster, in its order."""
        return roster_seats([self.market.group_seats(group) for group in bits_of(groups)])

    def owners_of(self, groups: int) -> tuple[int, ...]:
        """Numbers of the data owners in these groups."""
        return tuple(self.number_of(self.market.storage.seat_owners[seat]) for seat in self.seats_of(groups))

    def commitments(self, groups: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Digests and signatures of all members of these groups for the live round."""
        state, seats = self.state, self.seats_of(groups)
        digests = tuple(make_digest(seat, state.round, self.terms.polynomials) for seat in seats)
        commitments = [Commitment(state.epoch, state.round, state.task_hash, state.open_by, digest) for digest in digests]
        return digests, tuple(map(self.sign, seats, commitments))

    def sign(self, seat: int, message: Commitment | Delivery) -> bytes:
        """Signature of the owner of a seat."""
        signing_hash = message.signing_hash(chain_id=self.world.chain_id, market=self.market.address)
        return sign_hash(self.number_of(self.market.storage.seat_owners[seat]), signing_hash)

    def deliver(self, seat: int) -> tuple[bytes, bytes]:
        """Digest and signature of a delivery in the open round; whoever dictates the verdict may say that it is the projection's."""
        state = self.state
        digest = make_digest(seat, state.round, self.terms.polynomials)
        return digest, self.sign(seat, Delivery(state.epoch, state.round, state.task_hash, state.roster_hash, digest))

    def open(self, groups: int | None = None) -> None:
        """Anchor if need be, and open with these groups, all if none are named."""
        if not self.market.storage.live:
            self.anchor()
        chosen = self.all_groups() if groups is None else groups
        digests, _ = self.commitments(chosen)
        self.ledger().open(self.state.round, chosen, roster_hash(chosen, digests))

    def digests(self) -> tuple[bytes, ...]:
        """Digests of the open roster."""
        state = self.state
        return tuple(make_digest(seat, state.round, self.terms.polynomials) for seat in self.seats_of(state.groups))

    def accuse(self, *seats: int, deposit_wei: int | None = None) -> None:
        """Accuse members of the open roster."""
        digests, signatures = self.commitments(self.state.groups)
        places = [place for place, seat in enumerate(self.seats_of(self.state.groups)) if seat in seats]
        signed = tuple(signatures[place] for place in places)
        self.ledger().accuse(self.state.round, bitmap_of(seats), digests, signed, deposit_wei)

    def answer(self, seat: int, *, first: int = 0, count: int | None = None, sender: int | None = None) -> None:
        """Answer for an accused with polynomials from `first` on, all if no number is given; it sends itself unless somebody else does."""
        left = self.terms.polynomials - first
        blobs = make_blobs(seat, self.state.round, first, left if count is None else count)
        number = self.number_of(self.market.storage.seat_owners[seat]) if sender is None else sender
        points = make_points(seat, self.state.round, self.terms.polynomials)
        delivery = b"".join(self.deliver(seat)) if self.terms.projected and first + len(blobs) == self.terms.polynomials else b""
        self.ledger(number).answer(self.state.round, seat, points, first, blobs, delivery)

    def let_lapse(self, *seats: int) -> None:
        """Accuse, and let the time to answer pass."""
        self.accuse(*seats)
        self.world.timestamp = self.state.answer_by + 1

    def settle(
        self,
        *,
        distances: Sequence[int] | None = None,
        waived: int = 0,
        next_task: bytes = bytes(32),
    ) -> None:
        """Settle with a dictated verdict; all groups alike if no distances are given."""
        taking_part = self.state.groups & ~(waived | self.void())
        verdict = dictate(self.digests(), equal_distances(taking_part.bit_count()) if distances is None else distances)
        deliveries = tuple(self.deliver(seat)[1] for seat in self.seats_of(taking_part))
        signatures = deliveries if self.terms.projected else self.commitments(taking_part)[1]
        self.ledger().settle(self.state.round, verdict, signatures, waived, next_task)

    def void(self) -> int:
        """Bitmap of the groups with a lapsed member, at the next call."""
        state = self.state
        lapsed_seats = lapsed(accused=state.accused, answered=state.answered, answer_by=state.answer_by, now=self.world.timestamp)
        return groups_at(void_groups(self.market.storage.roster_seats(), lapsed_seats), state.groups)

    def time_out(self) -> None:
        """Let the open round pass its deadline and call `timeout`."""
        self.world.timestamp = self.state.settle_by + 1
        self.ledger(STRANGER).timeout(self.state.round)

    def surplus_wei(self) -> int:
        """What the market has more than it owes."""
        state = self.state
        own_wei = state.escrow_wei + state.bond_wei
        owed_wei = own_wei + state.stakes_wei + state.owed_wei + state.credits_wei + state.disputes_wei
        return self.world.balances.get(self.market.address, 0) - owed_wei


def make_scene(
    num_owners: int = 15,
    *,
    escrow_wei: int = 0,
    verification: Verification | None = None,
    gate: Gate | None = None,
    **term_changes: Any,
) -> Scene:
    """A market that nobody has joined."""
    world = World()
    numbers = (*range(num_owners), MODEL_OWNER, STRANGER)
    world.balances.update({address_of(number): WEALTH_WEI for number in numbers})
    market = MemoryMarket(
        address=MARKET,
        chain_id=world.chain_id,
        model_owner=address_of(MODEL_OWNER),
        terms=make_terms(**term_changes),
        verification=verification or DictatedVerification(),
        gate=gate,
    )
    world.deploy(market)
    scene = Scene(world, market, num_owners)
    if escrow_wei:
        scene.ledger().fund(escrow_wei)
    return scene


def make_drawn_scene(num_owners: int = 15, *, escrow_wei: int = 100_000, **term_changes: Any) -> Scene:
    """A funded market whose data owners have joined and been drawn into groups."""
    scene = make_scene(num_owners, escrow_wei=escrow_wei, **term_changes)
    scene.join()
    scene.freeze_and_draw()
    return scene
