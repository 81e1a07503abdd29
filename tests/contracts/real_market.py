"""A market on a local chain with the real verification: its model owner, its data owners, and what they deliver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from py_arkworks_bls12381 import G1Point

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment, create_market
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.crypto.curve import encode_point
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import Units, pack
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit_polynomial
from omnilytics_flwr.crypto.masks import MaskKey
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.settlement import Settlement
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.transaction import Mined, Payload
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.messages import Signer, sign_commitment
from omnilytics_flwr.market.roster import bitmap_of, bits_of, positions_of, roster_hash
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address
from tests.crypto.conftest import random_vector, sparse_vector
from tests.support.builders import make_task, make_terms

WEIGHTS, BITS = 100, 8
MOST_UNIT = (1 << BITS - 1) - 1
PADDING = WEIGHTS // 2
"""First element that holds no weights."""
IMAGINARY = pow(7, (R - 1) // 4, R)
"""A square root of -1."""


@dataclass(frozen=True)
class Part:
    """A vector of one polynomial and its commitment; both add. `sent` (96 bytes) is sent instead of the commitment."""

    vector: FieldVector
    point: G1Point
    sent: bytes | None = None

    @classmethod
    def of(cls, vector: FieldVector) -> Part:
        return cls(vector, commit_polynomial(vector))

    def __add__(self, other: Part) -> Part:
        return Part(self.vector + other.vector, self.point + other.point)

    def __sub__(self, other: Part) -> Part:
        return Part(self.vector - other.vector, self.point - other.point)

    @property
    def points(self) -> bytes:
        """The commitment as it is sent, 96 bytes."""
        return self.sent or encode_point(self.point)


@cache
def near(number: int = 0) -> Part:
    """An honest update: steps of a few units."""
    steps = np.random.default_rng(number).integers(-6, 7, WEIGHTS)
    return _update(steps)


@cache
def far() -> Part:
    """The largest update there is."""
    return level(MOST_UNIT)


@cache
def level(number: int) -> Part:
    """The update of so many units at every weight, positive or negative."""
    return _update(np.full(WEIGHTS, number))


@cache
def step(number: int) -> Part:
    """What adds so many units to the first weight."""
    return Part.of(sparse_vector(N, {0: number % R}))


@cache
def extra(values: tuple[tuple[int, int], ...]) -> Part:
    """What is added to an update against the rules: (element, value) pairs."""
    return Part.of(sparse_vector(N, dict(values)))


def wild(number: int = 0) -> Part:
    """An update whose group's sum is out of range at element 9."""
    return near(number) + extra(((9, 1 << 200),))


def isotropic(number: int = 0) -> Part:
    """An update whose group's sum is out of range in the padding, at no distance: the two changes' squares sum to 0 modulo r."""
    return near(number) + extra(((PADDING, 1 << 200), (PADDING + 1, (IMAGINARY << 200) % R)))


def masked(updates: Sequence[Part]) -> list[Part]:
    """Deliveries of a group: each with a mask, which cancel in the sum."""
    count = len(updates)
    return [update + _mask(i) - _mask((i + 1) % count) for i, update in enumerate(updates)]


def total(parts: Sequence[Part]) -> FieldVector:
    """Sum of the vectors."""
    return FieldVector.total([part.vector for part in parts])


@cache
def _mask(number: int) -> Part:
    return Part.of(random_vector(N, seed=1000 + number))


def _update(units: Units) -> Part:
    """An update of these units at the weights, and 0 in the padding."""
    return Part.of(pack(np.concatenate([units, np.zeros(2 * N - WEIGHTS, dtype=np.int64)])))


DAY = 24 * 3600
ESCROW_WEI = 10**6
NO_TASK = bytes(32)
Update = Callable[[int, int], Part]
"""Update of a member, by the position of its group on the roster and its own place in the group."""


@dataclass(frozen=True)
class OpenRound:
    """An open round as its model owner knows it: `statement` has no group outside, `deliveries` are by roster position and seat.

    `signatures` are the members' commitments, in the order of the roster.
    """

    number: int
    groups: int
    statement: Statement
    deliveries: tuple[tuple[Part, ...], ...]
    signatures: tuple[bytes, ...]

    def signed(self, waived: int = 0) -> tuple[bytes, ...]:
        """Commitments of the members of groups that take part."""
        outside = positions_of(waived, self.groups)
        places = [position for position, group in enumerate(self.deliveries) for _ in group]
        return tuple(one for position, one in zip(places, self.signatures, strict=True) if not outside >> position & 1)

    def settlement(self, waived: int = 0) -> bytes:
        """The honest settlement if these groups are waived."""
        statement = replace(self.statement, outside=positions_of(waived, self.groups))
        vectors = [None if statement.is_outside(i) else total(group) for i, group in enumerate(self.deliveries)]
        return prove(statement, vectors, self.rows(waived)).settlement

    def rows(self, waived: int = 0) -> tuple[tuple[bytes, ...], ...]:
        """Points of the members, or their digests if their group is waived."""
        outside = positions_of(waived, self.groups)
        return tuple(
            tuple(points_digest(part.points) if outside >> i & 1 else part.points for part in group)
            for i, group in enumerate(self.deliveries)
        )

    def taken_apart(self, settlement: bytes, waived: int = 0) -> Settlement:
        """The parts of a settlement."""
        return Settlement.from_bytes(settlement, replace(self.statement, outside=positions_of(waived, self.groups)))


@dataclass(frozen=True)
class RealMarket:
    """A market as all its parties see it: account 0 of the local chain is the model owner, 1 .. n are data owners.

    `data` has the data owners' ledgers by number, which is their seat if they join in order.
    """

    owner: EthereumLedger
    data: tuple[EthereumLedger, ...]

    @classmethod
    def at(cls, connection: Connection, address: Address, num_owners: int) -> RealMarket:
        """The market at an address."""
        ledgers = [EthereumLedger(sender_for(connection, dev_wallet(i, connection)), address) for i in range(num_owners + 1)]
        return cls(ledgers[0], tuple(ledgers[1:]))

    @classmethod
    def create(cls, connection: Connection, deployment: Deployment, num_owners: int, **changes: object) -> RealMarket:
        """A new market whose windows last days."""
        windows = dict.fromkeys(("commit_seconds", "accuse_seconds", "answer_seconds", "prove_seconds"), DAY)
        terms = make_terms(**({"verification": deployment.verification} | windows | changes))
        address = create_market(sender_for(connection, dev_wallet(0, connection)), deployment, terms)
        return cls.at(connection, address, num_owners)

    def join_and_draw(self, escrow_wei: int = ESCROW_WEI) -> RealMarket:
        """All data owners join, and are drawn into groups; the escrow is filled."""
        for number, ledger in enumerate(self.data):
            self.join(number, ledger)
        self.owner.fund(escrow_wei)
        self.owner.freeze()
        self.owner.draw()
        return self

    @staticmethod
    def join(number: int, ledger: EthereumLedger) -> None:
        """A data owner enrols for the next epoch."""
        ledger.join(mask_key(number))

    def on(self, connection: Connection) -> RealMarket:
        """The same market through another connection."""
        return self.at(connection, self.owner.address, len(self.data))

    @property
    def all_groups(self) -> int:
        """Bitmap of the groups of the epoch."""
        terms = self.owner.terms()
        return (1 << self.owner.state().members.bit_count() // terms.group_size) - 1

    def seats(self, groups: int) -> list[tuple[int, ...]]:
        """Seats of each group of a roster."""
        return [bits_of(self.owner.group_seats(group)) for group in bits_of(groups)]

    def wallets(self) -> dict[int, Signer]:
        """Who signs for each seat of the epoch."""
        of_address = {ledger.account: ledger.sender for ledger in self.data}
        return {member.seat: of_address[member.owner] for member in self.owner.members()}

    def task(self) -> TaskId:
        """The live round's task."""
        state = self.owner.state()
        return TaskId(self.owner.chain_id, self.owner.address, state.epoch, state.round, state.task_hash)

    def commitments(self, groups: int, digests: Sequence[bytes]) -> tuple[bytes, ...]:
        """Signatures of all members of a roster under their digests."""
        seats, wallets = [seat for group in self.seats(groups) for seat in group], self.wallets()
        task, open_by = self.task(), self.owner.state().open_by
        return tuple(sign_commitment(wallets[s], task, d, open_by) for s, d in zip(seats, digests, strict=True))

    def open(self, update: Update, *, groups: int | None = None, masks: bool = True, task: bytes | None = None) -> OpenRound:
        """Anchor a task and open the round with all groups, or those named."""
        self.owner.anchor(task or make_task(self.owner.state().round + 1))
        return self.open_anchored(update, groups=groups, masks=masks)

    def open_anchored(self, update: Update, *, groups: int | None = None, masks: bool = True) -> OpenRound:
        """Open the anchored round."""
        chosen = self.all_groups if groups is None else groups
        seats = self.seats(chosen)
        plain = [[update(position, place) for place in range(len(group))] for position, group in enumerate(seats)]
        deliveries = tuple(tuple(masked(group) if masks else group) for group in plain)
        digests = tuple(points_digest(part.points) for group in deliveries for part in group)
        number = self.owner.state().round
        signatures = self.commitments(chosen, digests)
        self.owner.open(number, chosen, roster_hash(chosen, digests))
        return OpenRound(number, chosen, self.statement(), deliveries, signatures)

    def statement(self) -> Statement:
        """What a settlement of the open round must prove, no group waived."""
        state, terms = self.owner.state(), self.owner.terms()
        return Statement(
            context=self.task().settlement_context(state.epoch_seed),
            roster_hash=state.roster_hash,
            sizes=tuple(map(len, self.seats(state.groups))),
            outside=0,
            polynomials=terms.polynomials_proven,
        )

    def settle(self, round_: OpenRound, settlement: bytes | None = None, *, waived: int = 0) -> Receipt:
        """Settle the open round, honestly unless another settlement is given; no next task."""
        return self.owner.settle(round_.number, settlement or round_.settlement(waived), round_.signed(waived), waived, NO_TASK)

    def accepted(self, receipt: Receipt) -> tuple[int, ...]:
        """Groups that a settlement accepted."""
        return bits_of(int(str(receipt.logs["Settled"]["accepted"])))

    def paid_groups(self, round_number: int) -> int:
        """Bitmap of the groups all of whose members a round pays."""
        paid = self.owner.paid_seats(round_number)
        return bitmap_of(i for i in bits_of(self.all_groups) if not self.owner.group_seats(i) & ~paid)


@dataclass(frozen=True)
class Opened:
    """A market with an open round of six groups; the one at position 1 is farthest from the rest, the last is to be waived."""

    market: RealMarket
    round: OpenRound
    waived: int
    settlement: bytes


def send(ledger: EthereumLedger, function: str, *arguments: object, value_wei: int = 0) -> Mined:
    """Call any function of the market with any arguments, from a ledger's account."""
    payload = Payload(ledger.address, artifacts.load(artifacts.MARKET).abi.call_data(function, *arguments), value_wei)
    return ledger.sender.send(function, payload, market_reverts())


def mask_key(number: int) -> bytes:
    """Public mask key of a data owner."""
    return MaskKey.from_private(mask_secret(number)).public


def mask_secret(number: int) -> bytes:
    """Private mask key of a data owner."""
    return keccak256(b"mask secret" + word(number))


def honest(position: int, place: int) -> Part:
    """Small updates; neighbours and members of neighbouring groups differ."""
    return near((position + place) % 7)


def first_members(by_position: Mapping[int, Part]) -> Update:
    """In a group of `by_position` the first member sends that; everybody else is honest."""
    return lambda position, place: by_position[position] if place == 0 and position in by_position else honest(position, place)


def whole_groups(by_position: Mapping[int, Part], otherwise: Update = honest) -> Update:
    """In a group of `by_position` everybody sends that."""
    return lambda position, place: by_position.get(position) or otherwise(position, place)


def stranger(market: RealMarket) -> EthereumLedger:
    """Somebody with ether and nothing to do with the market."""
    return EthereumLedger(sender_for(market.owner.connection, dev_wallet(45, market.owner.connection)), market.owner.address)
