"""The model owner's rounds, without Flower: anchor, collect, open, receive, prove, settle.

One `RoundKeeper` keeps one market. It holds at most one live round; everything that a data owner sent is checked here, with the
contract's own rules, before it can reach a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from py_arkworks_bls12381 import G1Point

from ..crypto.commitment import mismatched, points_digest
from ..crypto.curve import parse_points
from ..crypto.field import FieldVector
from ..errors import ProtocolError, TaskMismatch, TooFewGroups
from ..market.commitment_message import Commitment, recover
from ..market.ledger import Ledger, MarketState, Member, Receipt
from ..market.refusals import NotStaked, TooLate
from ..market.roster import bitmap_of, bits_of
from ..market.stage import Stage
from ..market.statement import settlement_context
from ..market.task import TaskId, TaskParts
from ..market.terms import Address, Terms
from .report import RoundReport
from .verdict import GroupSum, Verdict, judge

OPEN_MARGIN_SECONDS = 30
"""An anchored task with less time than this left to open is anchored again."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A round ready to settle.

    Attributes
    ----------
    verdict : Verdict
    mean : float64 array, shape (d,), or None
        Mean update of the accepted groups; None if there are none.
    """

    verdict: Verdict
    mean: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery as far as it has been checked: vector, points as they came, points decoded."""

    vector: FieldVector
    points: bytes
    parsed: tuple[G1Point, ...]


@dataclass(slots=True)
class _Live:
    """What is known of the live round."""

    task: TaskId
    open_by: int
    groups: tuple[tuple[Member, ...], ...]
    commitments: dict[Address, tuple[bytes, bytes]] = field(default_factory=dict)
    roster: tuple[int, ...] = ()
    deliveries: dict[Address, Delivered] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def roster_members(self) -> tuple[tuple[Member, ...], ...]:
        return tuple(self.groups[number] for number in self.roster)


class RoundKeeper:
    """Keeps the rounds of one market.

    Parameters
    ----------
    ledger : Ledger
        The market as its model owner sees it.
    on_stage : callable, optional
        Called with round and name of each stage as it begins.
    on_round : callable, optional
        Called with the report of each round as it ends.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        on_stage: Callable[[int, str], None] | None = None,
        on_round: Callable[[RoundReport], None] | None = None,
    ) -> None:
        self.ledger = ledger
        self.terms: Terms = ledger.terms()
        self._on_stage = on_stage or (lambda number, stage: None)
        self._on_round = on_round or (lambda report: None)
        self._reports: list[RoundReport] = []
        self._live: _Live | None = None

    @property
    def reports(self) -> tuple[RoundReport, ...]:
        """What each round came to."""
        return tuple(self._reports)

    @property
    def is_live(self) -> bool:
        """Whether a round has begun here and is not over."""
        return self._live is not None

    @property
    def task(self) -> TaskId:
        """Task of the live round; raises `ProtocolError` if there is none."""
        return self._need().task

    def anchored(self, parts: TaskParts) -> TaskId | None:
        """The live task if the market has anchored just these parts, else None."""
        state = self.ledger.state()
        if state.stage is not Stage.ANCHORED or parts.task_hash(state.round) != state.task_hash:
            return None
        return self._task_id(state)

    def anchor(self, parts: TaskParts) -> TaskId:
        """Make sure that these parts are the anchored task, and begin its round.

        Returns
        -------
        TaskId
            With the round's number.
        """
        receipts = []
        task, state = self.anchored(parts), self.ledger.state()
        if task is None or state.open_by < self.ledger.now() + OPEN_MARGIN_SECONDS:
            number = state.round + 1
            self._on_stage(number, "anchor")
            receipts.append(self.ledger.anchor(parts.task_hash(number)))
            state = self.ledger.state()
            task = self._task_id(state)
        self._live = _Live(task, state.open_by, self._groups(state), receipts=receipts)
        self._on_stage(task.round, "train")
        return task

    def add_commitment(self, owner: Address, digest: bytes, signature: bytes) -> None:
        """Take a data owner's commitment.

        Raises
        ------
        ProtocolError
            Not of this epoch, or a second, different commitment.
        TaskMismatch
            The signature is not the owner's for this task.
        """
        live = self._need()
        if owner not in {member.owner for group in live.groups for member in group}:
            raise ProtocolError(f"{owner} is not of epoch {live.task.epoch}; it can join the next one")
        known = live.commitments.get(owner)
        if known is not None and known[0] != digest:
            raise ProtocolError(f"{owner} has committed to another vector in this round; the first one counts")
        message = Commitment(live.task.epoch, live.task.round, live.task.task_hash, digest, live.open_by)
        signer = recover(message.signing_hash(chain_id=live.task.chain_id, market=self.ledger.address), signature)
        if signer != owner:
            raise TaskMismatch(f"the commitment of {owner} is signed by {signer}; it must be signed for this round by its own key")
        live.commitments[owner] = (digest, signature)

    def open(self) -> tuple[bytes, ...]:
        """Open the round with every whole group that committed.

        Returns
        -------
        tuple of bytes
            Digests of the roster, in order.

        Raises
        ------
        TooFewGroups
            Fewer than 2f + 3 whole groups; the round is reported as not opened.
        TooLate
            The commit window is over; likewise.
        """
        live = self._need()
        self._on_stage(live.task.round, "open")
        whole = [number for number, group in enumerate(live.groups) if all(m.owner in live.commitments for m in group)]
        while True:
            if len(whole) < self.terms.least_groups:
                self._finish(RoundReport(live.task.epoch, live.task.round, False, tuple(live.commitments)))
                raise TooFewGroups(len(whole), self.terms.least_groups)
            live.roster = tuple(whole)
            chosen = [live.commitments[member.owner] for group in live.roster_members() for member in group]
            digests = tuple(digest for digest, _ in chosen)
            try:
                with self._timed("chain"):
                    receipt = self.ledger.open(live.task.round, bitmap_of(whole), digests, tuple(signature for _, signature in chosen))
            except NotStaked as gone:  # somebody took its stake back since it signed: go on without its group
                whole = [n for n in whole if not any(gone.seats >> m.seat & 1 for m in live.groups[n])]
                continue
            except TooLate:
                self._finish(RoundReport(live.task.epoch, live.task.round, False, tuple(live.commitments)))
                raise
            live.receipts.append(receipt)
            self._on_stage(live.task.round, "deliver")
            return digests

    def deliver_seconds(self) -> float:
        """How long deliveries may take so that the prove window is left for proving and settling; at least a second."""
        return float(max(self.ledger.state().settle_by - self.ledger.now() - self.terms.prove_seconds, 1))

    def roster_owners(self) -> tuple[Address, ...]:
        """Data owners on the roster, in order."""
        return tuple(member.owner for group in self._need().roster_members() for member in group)

    def add_delivery(self, owner: Address, vector: bytes, points: bytes) -> None:
        """Take a delivery: canonical, its points the digest's and good by the market's own check.

        Whether vector and points belong together is checked for all deliveries at once by `prove`.

        Raises
        ------
        ProtocolError
            Not on the roster, or not what was committed.
        WireError
            Malformed vector or points.
        """
        live = self._need()
        if owner not in self.roster_owners():
            raise ProtocolError(f"{owner} is not on the roster of round {live.task.round}")
        if points_digest(points) != live.commitments[owner][0]:
            raise ProtocolError(f"the points of {owner} are not those of its digest")
        with self._timed("server_crypto"):
            elements = FieldVector.from_bytes(vector, 4096 * self.terms.polynomials)
            parsed = parse_points(points, self.terms.polynomials)
        with self._timed("chain"):
            good = self.ledger.check_points(points)
        if not good:
            raise ProtocolError(f"the verification refuses the points of {owner}")
        live.deliveries[owner] = Delivered(elements, points, parsed)

    def prove(self) -> Proven:
        """Decide the round as the contract will, prove it, and decode the mean of the accepted groups.

        Groups with a delivery missing are waived: paid, and not learned from.
        """
        live = self._need()
        self._on_stage(live.task.round, "prove")
        with self._timed("server_crypto"):
            self._drop_mismatches(live)
            groups = [self._group_sum(live, group) for group in live.roster_members()]
            state = self.ledger.state()
            verdict = judge(self.terms, self._context(live, state), state.roster_hash, groups)
            mean = verdict.mean(self.terms)
        return Proven(verdict, mean)

    def settle(self, proven: Proven, following: TaskParts | None) -> RoundReport:
        """Settle the round and anchor the next task, if there is one, in the same transaction."""
        live, verdict = self._need(), proven.verdict
        self._on_stage(live.task.round, "settle")
        next_hash = bytes(32) if following is None else following.task_hash(live.task.round + 1)
        waived = bitmap_of(live.roster[position] for position in verdict.waived)
        with self._timed("chain"):
            live.receipts.append(self.ledger.settle(live.task.round, verdict.settlement, waived, next_hash))
        paid_seats = self.ledger.paid_seats(live.task.round)
        roster = tuple(tuple(member.owner for member in group) for group in live.roster_members())
        report = RoundReport(
            live.task.epoch,
            live.task.round,
            True,
            tuple(live.commitments),
            roster=roster,
            accepted=verdict.accepted,
            excluded=verdict.excluded,
            ineligible=verdict.ineligible,
            dropped=verdict.dropped,
            waived=verdict.waived,
            paid=tuple(m.owner for group in live.groups for m in group if paid_seats >> m.seat & 1),
            distances=verdict.distances,
            scale=verdict.scale,
        )
        return self._finish(report)

    def _need(self) -> _Live:
        if self._live is None:
            raise ProtocolError("no round is live; anchor a task first")
        return self._live

    def _finish(self, report: RoundReport) -> RoundReport:
        live = self._need()
        done = replace(report, receipts=tuple(live.receipts), seconds=dict(live.seconds))
        self._reports.append(done)
        self._live = None
        self._on_stage(report.round, "done")
        self._on_round(done)
        return done

    def _drop_mismatches(self, live: _Live) -> None:
        """Forget deliveries whose vector is not what their points commit to."""
        owners = list(live.deliveries)
        delivered = [live.deliveries[owner] for owner in owners]
        for index in mismatched([one.vector for one in delivered], [one.parsed for one in delivered]):
            del live.deliveries[owners[index]]

    def _group_sum(self, live: _Live, group: tuple[Member, ...]) -> GroupSum:
        digests = tuple(live.commitments[member.owner][0] for member in group)
        delivered = [live.deliveries.get(member.owner) for member in group]
        there = [one for one in delivered if one is not None]
        if len(there) < len(group):
            return GroupSum(len(group), None, digests, digests)
        vector = FieldVector.total([one.vector for one in there])
        return GroupSum(len(group), vector, tuple(one.points for one in there), digests)

    def _context(self, live: _Live, state: MarketState) -> bytes:
        return settlement_context(
            chain_id=live.task.chain_id,
            market=self.ledger.address,
            epoch_seed=state.epoch_seed,
            epoch=live.task.epoch,
            round_number=live.task.round,
            task_hash=live.task.task_hash,
        )

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        live, start = self._need(), time.perf_counter()
        try:
            yield
        finally:
            live.seconds[what] = live.seconds.get(what, 0.0) + time.perf_counter() - start

    def _task_id(self, state: MarketState) -> TaskId:
        return TaskId(self.ledger.chain_id, self.ledger.address, state.epoch, state.round, state.task_hash)

    def _groups(self, state: MarketState) -> tuple[tuple[Member, ...], ...]:
        by_seat = {member.seat: member for member in self.ledger.members()}
        count = state.members.bit_count() // self.terms.group_size
        seats = [self.ledger.group_seats(number) for number in range(count)]
        return tuple(tuple(by_seat[seat] for seat in bits_of(group)) for group in seats)
