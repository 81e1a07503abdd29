"""What the model owner knows of a round, from the anchored task to the settlement, with all rules that need no ledger."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..crypto.digest import points_digest
from ..crypto.kzg import Sketch
from ..crypto.projection import projection_seed
from ..errors import ProtocolError, TaskMismatch
from ..market.ledger import Receipt
from ..market.market_view import MarketState, Member
from ..market.messages import Commitment, Delivery, recover
from ..market.roster import bitmap_of, roster_hash
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


@dataclass(slots=True)
class Delivered:
    """A delivery, without its vector, which is on disk.

    Attributes
    ----------
    points : bytes
        What the data owner committed to; empty where the vector's hash commits to it.
    projected : bytes
        Point of the vector's projection; empty unless the market is projected.
    signature : bytes
        Under the projected point's digest; empty likewise.
    metrics : mapping
        What came along.
    sketch : Sketch or None
        To check that vector, points and projection belong together.
    seed : bytes
        Of the projection that it was made with; empty if it must be made anew.
    """

    points: bytes
    projected: bytes = b""
    signature: bytes = b""
    metrics: Metrics = field(default_factory=dict)
    sketch: Sketch | None = field(default=None, compare=False)
    seed: bytes = field(default=b"", compare=False)

    @property
    def shown(self) -> bytes:
        """The points that a settlement shows of it; none in a computed market."""
        return self.projected or self.points


@dataclass(frozen=True, slots=True)
class SettleCall:
    """What a round is settled with: `waived` is a bitmap of groups, `following` the next task's hash, 32 zeros for none.

    Attributes
    ----------
    signatures : tuple of (Address, bytes)
        Of each member taking part, in order, that of its delivery; empty unless the market is projected: that of its commitment counts.
    """

    settlement: bytes
    signatures: tuple[tuple[Address, bytes], ...]
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
    excused : set of Address
        Who delivered for another roster, which the chain has forgotten, and not since.
    scale : int
        L.
    tolerated : int
        f'.
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
    excused: set[Address] = field(default_factory=set)
    call: SettleCall | None = None
    fates: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    scale: int = 1
    tolerated: int = 0
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
    epoch_seed : bytes
        Of the epoch's draw, as this process saw it last.
    sums : dict of tuple of bytes to (bytes, GroupSum)
        Of whole groups, by their members' digests, with the seed of the projection.
    """

    deliveries: dict[Address, Delivered] = field(default_factory=dict)
    epoch_seed: bytes = b""
    sums: dict[tuple[bytes, ...], tuple[bytes, GroupSum]] = field(default_factory=dict)
    asked_for: int = 0

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

    def roster_bitmap(self) -> int:
        """Bitmap of the groups of the roster."""
        return bitmap_of(self.roster)

    def roster_hash(self) -> bytes:
        """What the market keeps of the roster, 32 bytes."""
        return roster_hash(self.roster_bitmap(), self.digests())

    def signatures(self, seats: int) -> tuple[bytes, ...]:
        """Signatures of the commitments of these members of the roster, in its order; `seats` is a bitmap."""
        return tuple(self.commitments[member.owner].signature for member in self.roster_members() if seats >> member.seat & 1)

    def settle_call(self, settlement: bytes, *, waived: Collection[int], void: Collection[int], following: bytes) -> SettleCall:
        """What to settle with; `waived` and `void` are roster positions."""
        inside = [group for position, group in enumerate(self.roster_groups()) if position not in {*waived, *void}]
        signed = tuple((member.owner, self.deliveries[member.owner].signature) for group in inside for member in group)
        return SettleCall(settlement, signed, bitmap_of(self.roster[position] for position in waived), following)

    def settle_signatures(self, call: SettleCall) -> tuple[bytes, ...]:
        """Signatures of a call; those of commitments as they are now, for they may have been made again since it was noted."""
        return tuple(signature or self.commitments[owner].signature for owner, signature in call.signatures)

    def missing(self) -> tuple[Member, ...]:
        """Who is on the roster and has not delivered."""
        return tuple(member for member in self.roster_members() if member.owner not in self.deliveries)

    def defaulting(self) -> tuple[Member, ...]:
        """Who is on the roster, has not delivered, and is not excused."""
        return tuple(member for member in self.missing() if member.owner not in self.excused)

    def metrics(self) -> tuple[Metrics, ...]:
        """What came along with the deliveries, in the order of the roster."""
        return tuple(self.deliveries[member.owner].metrics for member in self.roster_members() if member.owner in self.deliveries)

    def signed_groups(self) -> tuple[int, ...]:
        """Numbers of the groups all of whose members have committed, with signatures that still count."""
        signed = {owner for owner, commitment in self.commitments.items() if commitment.signature}
        return tuple(number for number, group in enumerate(self.groups) if all(member.owner in signed for member in group))

    def owners(self) -> tuple[Address, ...]:
        """Data owners of the epoch, group by group."""
        return tuple(member.owner for group in self.groups for member in group)

    def uncommitted(self) -> tuple[Address, ...]:
        """Who is of the epoch and has not committed."""
        return tuple(owner for owner in self.owners() if owner not in self.commitments)

    def groups_of(self, owners: Collection[Address]) -> frozenset[int]:
        """Numbers of the groups that these data owners are in."""
        return frozenset(number for number, group in enumerate(self.groups) if any(member.owner in owners for member in group))

    def groups_at(self, seats: int) -> frozenset[int]:
        """Numbers of the groups with a member on one of these seats, a bitmap."""
        return frozenset(number for number, group in enumerate(self.groups) if any(seats >> member.seat & 1 for member in group))

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

    def projection_seed(self, epoch_seed: bytes) -> bytes:
        """Seed of the open round's projection, 32 bytes."""
        return projection_seed(self.task.settlement_context(epoch_seed), self.roster_hash())

    def forget_sums(self, owner: Address | None = None) -> None:
        """Forget the sum of a data owner's group, or all."""
        digest = None if owner is None or owner not in self.commitments else self.commitments[owner].digest
        for digests in [digests for digests in self.sums if digest is None or digest in digests]:
            del self.sums[digests]

    # What data owners send

    def add_commitment(self, owner: Address, digest: bytes, signature: bytes) -> None:
        """Take a data owner's commitment; `RoundKeeper.add_commitment` says what it raises."""
        if owner not in {member.owner for group in self.groups for member in group}:
            raise ProtocolError(f"{owner} is not of epoch {self.task.epoch}; it can join the next one")
        earlier = self.commitments.get(owner)
        if earlier is not None and earlier.digest != digest:
            raise ProtocolError(f"{owner} has committed to another vector in this round; the first one counts")
        message = Commitment(self.task.epoch, self.task.round, self.task.task_hash, self.open_by, digest)
        signer = recover(message.signing_hash(chain_id=self.task.chain_id, market=Address(self.task.market)), signature)
        if signer != owner:
            raise TaskMismatch(f"the commitment of {owner} is signed by {signer}; it must be signed for this round by its own key")
        self.commitments[owner] = Signed(digest, signature)

    def check_delivery(self, owner: Address, digest: bytes, projected: bytes, signature: bytes) -> None:
        """Raise unless a member of the roster committed to this digest and, if anything is projected, signed to deliver it."""
        if owner not in {member.owner for member in self.roster_members()}:
            raise ProtocolError(f"{owner} is not on the roster of round {self.task.round}; expected one of its members")
        if digest != self.commitments[owner].digest:
            raise ProtocolError(f"the delivery of {owner} is not that of its digest; expected what it committed to")
        if not projected:
            return
        message = Delivery(self.task.epoch, self.task.round, self.task.task_hash, self.roster_hash(), points_digest(projected))
        signer = recover(message.signing_hash(chain_id=self.task.chain_id, market=self.task.market), signature)
        if signer != owner:
            raise ProtocolError(f"the projection of {owner} is signed by {signer}; it must be signed for this roster by its own key")

    # What it comes to

    def report(self, *, paid_seats: int, timed_out: bool) -> RoundReport:
        """What the round came to; `paid_seats` is the bitmap of the seats that the market pays."""
        return RoundReport(
            self.task.epoch,
            self.task.round,
            not timed_out,
            self.owners(),
            tuple(self.commitments),
            roster=tuple(tuple(member.owner for member in group) for group in self.roster_groups()),
            scale=self.scale,
            tolerated=self.tolerated,
            undelivered=tuple(member.owner for member in self.missing()),
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
        task, committed, receipts = self.task, tuple(self.commitments), tuple(self.receipts)
        return RoundReport(task.epoch, task.round, False, self.owners(), committed, receipts=receipts, seconds=dict(self.seconds))

    @contextmanager
    def timed(self, work: str) -> Iterator[None]:
        """Add the time that a block takes to `seconds`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[work] = self.seconds.get(work, 0.0) + time.perf_counter() - start
