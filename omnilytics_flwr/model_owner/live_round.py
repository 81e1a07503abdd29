"""What the model owner knows of a round, from the anchored task to the settlement, with all rules that need no ledger."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from py_arkworks_bls12381 import G1Point

from ..crypto.curve import parse_points
from ..crypto.field import FieldVector, N
from ..crypto.hashing import keccak256
from ..crypto.kzg import mismatched, points_digest
from ..errors import ProtocolError, TaskMismatch
from ..market.commitment_message import Commitment, recover
from ..market.ledger import Receipt
from ..market.market_view import MarketState, Member
from ..market.stage import Stage
from ..market.task import TaskId
from ..market.terms import Address
from .decision import GroupSum
from .round_report import RoundReport

Metrics = Mapping[str, Mapping[str, int | float | list[int] | list[float]]]
"""Metric records of a data owner, by name."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A data owner's commitment; the signature is empty if it must be given again."""

    digest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery: the vector, its points as they came and decoded, and the metrics that came along."""

    vector: FieldVector
    points: bytes
    parsed: tuple[G1Point, ...]
    metrics: Metrics = field(default_factory=dict)

    @classmethod
    def decode(cls, vector: bytes, points: bytes, metrics: Metrics, polynomials: int) -> Delivered:
        """Decode the bytes of a delivery; raises `WireError`."""
        return cls(FieldVector.from_bytes(vector, N * polynomials), points, parse_points(points, polynomials), metrics)


@dataclass(frozen=True, slots=True)
class SettleCall:
    """What a round is settled with: `waived` is a bitmap of groups, `following` the next task's hash, 32 zeros for none."""

    settlement: bytes
    waived: int
    following: bytes


@dataclass(slots=True)
class NotedRound:
    """What is written down of a round, but for its deliveries, each of which is a record of its own.

    Attributes
    ----------
    open_by : int
        Unix seconds; 0 until the task is known to be anchored.
    groups : tuple of tuple of Member
        All groups of the epoch.
    roster : tuple of int, ascending
        Numbers of the groups with which it was opened.
    opened : bool
        Whether it was opened, or is about to be.
    spoilt : set of int
        Roster positions that proof or market fell over; they are waived.
    call : SettleCall or None
        With which it was settled, or is about to be.
    fates : dict of str to tuple of int
        What the report says of the groups, by name of its field.
    scale : int
        L.
    done : bool
        Whether its end was reported, and what it taught is saved.
    seconds : dict of str to float
        Time spent, by kind of work.
    """

    task: TaskId
    open_by: int
    groups: tuple[tuple[Member, ...], ...]
    commitments: dict[Address, Signed] = field(default_factory=dict)
    roster: tuple[int, ...] = ()
    opened: bool = False
    accused: set[Address] = field(default_factory=set)
    answered: set[Address] = field(default_factory=set)
    spoilt: set[int] = field(default_factory=set)
    call: SettleCall | None = None
    fates: dict[str, tuple[int, ...]] = field(default_factory=dict)
    scale: int = 1
    done: bool = False
    receipts: list[Receipt] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class LiveRound(NotedRound):
    """A round; it is kept for a while after its end, in case the chain forgets it.

    Attributes
    ----------
    asked_for : int
        The `open_by` for which this process asked data owners to sign again; 0 if it did not.
    refusals : int
        How often the market refused to settle it.
    """

    deliveries: dict[Address, Delivered] = field(default_factory=dict)
    asked_for: int = 0
    refusals: int = 0

    # Who takes part

    def roster_groups(self) -> tuple[tuple[Member, ...], ...]:
        """Members of each group of the roster."""
        return tuple(self.groups[number] for number in self.roster)

    def roster_members(self) -> tuple[Member, ...]:
        """Everybody on the roster, in order."""
        return tuple(member for group in self.roster_groups() for member in group)

    def digests(self) -> tuple[bytes, ...]:
        """Digests of the roster, in order."""
        return tuple(self.commitments[member.owner].digest for member in self.roster_members())

    def signatures(self) -> tuple[bytes, ...]:
        """Signatures of the roster, in order."""
        return tuple(self.commitments[member.owner].signature for member in self.roster_members())

    def roster_hash(self) -> bytes:
        """Keccak-256 of the roster's digests, 32 bytes: what the market keeps of them."""
        return keccak256(b"".join(self.digests()))

    def missing(self) -> tuple[Member, ...]:
        """Who is on the roster and has not delivered."""
        return tuple(member for member in self.roster_members() if member.owner not in self.deliveries)

    def metrics(self) -> tuple[Metrics, ...]:
        """What came along with the deliveries, in the order of the roster."""
        return tuple(self.deliveries[member.owner].metrics for member in self.roster_members() if member.owner in self.deliveries)

    def signed_groups(self) -> tuple[int, ...]:
        """Numbers of the groups all of whose members have committed, with signatures that still count."""
        signed = {owner for owner, commitment in self.commitments.items() if commitment.signature}
        return tuple(number for number, group in enumerate(self.groups) if all(member.owner in signed for member in group))

    def groups_of(self, owners: Collection[Address]) -> frozenset[int]:
        """Numbers of the groups that these data owners are in."""
        return frozenset(number for number, group in enumerate(self.groups) if any(member.owner in owners for member in group))

    # Where the market stands

    def is_open_in(self, state: MarketState) -> bool:
        """Whether the market stands where this round is open, with this roster."""
        return state.stage is Stage.OPEN and (state.round, state.roster_hash) == (self.task.round, self.roster_hash())

    def is_over_in(self, state: MarketState) -> bool:
        """Whether the market stands where this round, once opened, has been settled or has timed out."""
        return state.round > self.task.round or (state.round == self.task.round and state.stage not in (Stage.ANCHORED, Stage.OPEN))

    def expire(self, open_by: int) -> None:
        """Take over another deadline: the signatures name the old one, so they are void."""
        self.open_by = open_by
        self.commitments = {owner: Signed(one.digest, b"") for owner, one in self.commitments.items()}

    # What data owners send

    def add_commitment(self, owner: Address, digest: bytes, signature: bytes) -> None:
        """Take a data owner's commitment; `RoundKeeper.add_commitment` says what it raises."""
        if owner not in {member.owner for group in self.groups for member in group}:
            raise ProtocolError(f"{owner} is not of epoch {self.task.epoch}; it can join the next one")
        earlier = self.commitments.get(owner)
        if earlier is not None and earlier.digest != digest:
            raise ProtocolError(f"{owner} has committed to another vector in this round; the first one counts")
        message = Commitment(self.task.epoch, self.task.round, self.task.task_hash, digest, self.open_by)
        signer = recover(message.signing_hash(chain_id=self.task.chain_id, market=Address(self.task.market)), signature)
        if signer != owner:
            raise TaskMismatch(f"the commitment of {owner} is signed by {signer}; it must be signed for this round by its own key")
        self.commitments[owner] = Signed(digest, signature)

    def check_delivery(self, owner: Address, points: bytes) -> None:
        """Raise `ProtocolError` unless the points are what this member of the roster committed to."""
        if owner not in {member.owner for member in self.roster_members()}:
            raise ProtocolError(f"{owner} is not on the roster of round {self.task.round}; expected one of its members")
        if points_digest(points) != self.commitments[owner].digest:
            raise ProtocolError(f"the points of {owner} are not those of its digest; expected what it committed to")

    def mismatches(self) -> tuple[Address, ...]:
        """Data owners whose vector is not what their points commit to."""
        owners, delivered = tuple(self.deliveries), tuple(self.deliveries.values())
        return tuple(owners[index] for index in mismatched([one.vector for one in delivered], [one.parsed for one in delivered]))

    # What it comes to

    def group_sums(self) -> list[GroupSum]:
        """The groups of the roster as they are decided on."""
        sums = []
        for group in self.roster_groups():
            digests = tuple(self.commitments[member.owner].digest for member in group)
            there = [self.deliveries[member.owner] for member in group if member.owner in self.deliveries]
            whole = len(there) == len(group)
            total = FieldVector.total([one.vector for one in there]) if whole else None
            sums.append(GroupSum(digests, total, tuple(one.points for one in there)))
        return sums

    def report(self, *, paid_seats: int, timed_out: bool) -> RoundReport:
        """What the round came to; `paid_seats` is the bitmap of the seats that the market pays."""
        return RoundReport(
            self.task.epoch,
            self.task.round,
            not timed_out,
            tuple(self.commitments),
            roster=tuple(tuple(member.owner for member in group) for group in self.roster_groups()),
            scale=self.scale,
            accused=tuple(member.owner for member in self.roster_members() if member.owner in self.accused),
            answered=tuple(member.owner for member in self.roster_members() if member.owner in self.answered),
            timed_out=timed_out,
            paid=tuple(member.owner for group in self.groups for member in group if paid_seats >> member.seat & 1),
            receipts=tuple(self.receipts),
            seconds=dict(self.seconds),
            **{} if timed_out else self.fates,
        )

    def report_not_opened(self) -> RoundReport:
        """What the round came to, if it could not be opened."""
        task, receipts = self.task, tuple(self.receipts)
        return RoundReport(task.epoch, task.round, False, tuple(self.commitments), receipts=receipts, seconds=dict(self.seconds))

    @contextmanager
    def timed(self, work: str) -> Iterator[None]:
        """Add the time that a block takes to `seconds`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[work] = self.seconds.get(work, 0.0) + time.perf_counter() - start
