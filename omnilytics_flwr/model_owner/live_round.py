"""What its model owner knows of a round, from the anchored task to the settlement."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from py_arkworks_bls12381 import G1Point

from ..crypto.field import FieldVector
from ..crypto.hashing import keccak256
from ..errors import ProtocolError, TaskMismatch
from ..market.commitment_message import Commitment, recover
from ..market.ledger import Receipt
from ..market.market_view import MarketState, Member
from ..market.stage import Stage
from ..market.task import TaskId
from ..market.terms import Address
from .decision import GroupSum, Verdict

Metrics = Mapping[str, Mapping[str, int | float | list[int] | list[float]]]
"""Metric records of a data owner, by name."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A data owner's commitment; the signature is empty while it must be given again."""

    digest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery as far as it has been checked: vector, points as they came, points decoded; and the metrics that came along."""

    vector: FieldVector
    points: bytes
    parsed: tuple[G1Point, ...]
    metrics: Metrics = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SettleCall:
    """Arguments with which a round is settled.

    Attributes
    ----------
    settlement : bytes
    waived : int
        Bitmap of groups.
    following : bytes, length 32
        Hash of the next task; zeros for none.
    """

    settlement: bytes
    waived: int
    following: bytes


@dataclass(frozen=True, slots=True)
class Proven:
    """A round ready to settle.

    Attributes
    ----------
    verdict : Verdict
    mean : float64 array, shape (d,), or None
        Mean update of the accepted groups; None if there are none.
    roster_hash : bytes, length 32
        Roster that the verdict is of.
    """

    verdict: Verdict
    mean: NDArray[np.float64] | None
    roster_hash: bytes


@dataclass(slots=True)
class LiveRound:
    """A round; it is kept for a while after its end, in case the chain forgets it.

    Attributes
    ----------
    task : TaskId
    open_by : int
        Unix seconds; 0 until the task is known to be anchored.
    asked_for : int
        Deadline for which data owners that had committed were asked to sign again; 0 if none was.
    groups : tuple of tuple of Member
        All groups of the epoch.
    commitments : dict of Address to Signed
    roster : tuple of int, ascending
        Numbers of the groups with which it was opened.
    opened : bool
        Whether it was opened, or is about to be.
    deliveries : dict of Address to Delivered
    accused, answered : set of Address
    spoilt : set of int
        Roster positions that proof or market fell over; they are waived.
    call : SettleCall or None
        With which it was settled, or is about to be.
    fates : dict of str to tuple of int
        What the report says of the groups, by name of its field.
    refusals : int
        How often the market refused to settle it.
    done : bool
        Whether its end was reported, and what it taught is saved.
    receipts : list of Receipt
    seconds : dict of str to float
        By kind of work.
    """

    task: TaskId
    open_by: int
    groups: tuple[tuple[Member, ...], ...]
    commitments: dict[Address, Signed] = field(default_factory=dict)
    asked_for: int = 0
    roster: tuple[int, ...] = ()
    opened: bool = False
    deliveries: dict[Address, Delivered] = field(default_factory=dict)
    accused: set[Address] = field(default_factory=set)
    answered: set[Address] = field(default_factory=set)
    spoilt: set[int] = field(default_factory=set)
    call: SettleCall | None = None
    fates: dict[str, tuple[int, ...]] = field(default_factory=dict)
    refusals: int = 0
    done: bool = False
    receipts: list[Receipt] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

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

    def is_open_in(self, state: MarketState) -> bool:
        """Whether the market stands where this round is open, with this roster."""
        return state.stage is Stage.OPEN and (state.round, state.roster_hash) == (self.task.round, self.roster_hash())

    def missing(self) -> tuple[Member, ...]:
        """Who is on the roster and has not delivered."""
        return tuple(member for member in self.roster_members() if member.owner not in self.deliveries)

    def is_signed(self, number: int) -> bool:
        """Whether every member of a group of the epoch has committed, with a signature that still counts."""
        return all(m.owner in self.commitments and self.commitments[m.owner].signature for m in self.groups[number])

    def expire(self, open_by: int) -> None:
        """Take over another deadline: the signatures name the old one, so they are void."""
        self.open_by = open_by
        self.commitments = {owner: Signed(one.digest, b"") for owner, one in self.commitments.items()}

    def add_commitment(self, owner: Address, digest: bytes, signature: bytes) -> None:
        """Take a data owner's commitment; `RoundKeeper.add_commitment` says what it raises."""
        if owner not in {member.owner for group in self.groups for member in group}:
            raise ProtocolError(f"{owner} is not of epoch {self.task.epoch}; it can join the next one")
        known = self.commitments.get(owner)
        if known is not None and known.digest != digest:
            raise ProtocolError(f"{owner} has committed to another vector in this round; the first one counts")
        message = Commitment(self.task.epoch, self.task.round, self.task.task_hash, digest, self.open_by)
        signer = recover(message.signing_hash(chain_id=self.task.chain_id, market=Address(self.task.market)), signature)
        if signer != owner:
            raise TaskMismatch(f"the commitment of {owner} is signed by {signer}; it must be signed for this round by its own key")
        self.commitments[owner] = Signed(digest, signature)

    def group_sums(self) -> list[GroupSum]:
        """The groups of the roster as they are judged."""
        sums = []
        for group in self.roster_groups():
            digests = tuple(self.commitments[member.owner].digest for member in group)
            there = [self.deliveries[member.owner] for member in group if member.owner in self.deliveries]
            if len(there) < len(group):
                sums.append(GroupSum(len(group), None, digests, digests))
            else:
                sums.append(GroupSum(len(group), FieldVector.total([one.vector for one in there]), tuple(o.points for o in there), digests))
        return sums

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the time that a block takes to `seconds`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - start
