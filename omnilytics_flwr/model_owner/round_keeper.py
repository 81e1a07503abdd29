"""The model owner's rounds, without Flower: anchor, collect, open, receive, dispute, prove, settle.

One `RoundKeeper` keeps one market. It holds at most one live round; everything that a data owner sent is checked here, with the
contract's own rules, before it can reach a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from ..errors import ProtocolError, TooFewGroups
from ..market.ledger import ModelOwnerLedger
from ..market.market_view import MarketState
from ..market.refusals import TooLate
from ..market.stage import Stage
from ..market.task import TaskId, TaskParts
from ..market.terms import Address, Terms
from .disputes import Disputes
from .live_round import LiveRound, Metrics, Proven
from .opening import OPEN_MARGIN_SECONDS as OPEN_MARGIN_SECONDS
from .opening import Opening
from .proving import Proving
from .receiving import Receiving
from .round_journal import RoundHistory, is_over
from .round_report import RoundReport
from .run_directory import Record, RunDirectory
from .settling import Settling
from .surroundings import Surroundings

Missing = Literal["waive", "accuse"]
"""What becomes of a group with a member that does not deliver."""


class RoundKeeper:
    """Keeps the rounds of one market.

    Parameters
    ----------
    ledger : ModelOwnerLedger
        The market as its model owner sees it.
    missing : {"waive", "accuse"} (default: "waive")
        What to do about members of the roster that do not deliver: pay their groups and go on without them, at once; or accuse them
        if there is still time, and go on with what they answer on chain; a group with a member that does not is void.
    directory : RunDirectory, optional
        Where rounds are written down, so that another process can take them up; none if left out.
    on_stage : callable, optional
        Called with round and name of each stage as it begins.
    on_round : callable, optional
        Called with the report of each round as it ends.
    on_trouble : callable, optional
        Called with a sentence whenever something went wrong that the round survives.
    wait : callable, optional
        Lets so many seconds pass; by default sleeps.
    poll_seconds : float, > 0 (default: 3)
        Between two looks at the chain.
    """

    def __init__(
        self,
        ledger: ModelOwnerLedger,
        *,
        missing: Missing = "waive",
        directory: RunDirectory | None = None,
        on_stage: Callable[[int, str], None] | None = None,
        on_round: Callable[[RoundReport], None] | None = None,
        on_trouble: Callable[[str], None] | None = None,
        wait: Callable[[float], None] = time.sleep,
        poll_seconds: float = 3.0,
    ) -> None:
        self.ledger = ledger
        self.reports: tuple[RoundReport, ...] = ()
        self._on_stage = on_stage or (lambda number, stage: None)
        self._on_round = on_round or (lambda report: None)
        self._around = Surroundings(ledger, wait, poll_seconds, self._on_stage, on_trouble or (lambda reason: None))
        self.terms: Terms = self._around.terms
        self._steady = self._around.steady
        self._history = RoundHistory(self._around, directory)
        self._opening = Opening(self._around, self._history, directory)
        self._receiving = Receiving(self._around, self._history)
        self._disputes = Disputes(self._around, self._history, accuse=missing == "accuse")
        self._proving = Proving(self._around, self._opening, self._receiving, self._disputes)
        self._settling = Settling(self._around, self._history)
        self._live: LiveRound | None = None
        self._unbooked: list[LiveRound] = []

    @property
    def is_live(self) -> bool:
        """Whether a round has begun here and is not over."""
        return self._live is not None

    @property
    def is_open(self) -> bool:
        """Whether the live round has been opened."""
        return self._live is not None and self._live.opened

    @property
    def task(self) -> TaskId:
        """Task of the live round; raises `ProtocolError` if there is none."""
        return self._need().task

    def resume(self) -> Record | None:
        """Take up what a process before this one has left: an open round goes on, a settled one is reported.

        The outcome with which the last round was settled is returned, unless it is booked.

        Raises
        ------
        CommitmentsExpired
            The round was anchored anew, and must be signed again before it can be opened again.
        """
        self._history.load()
        self._opening.load()
        self.catch_up()
        live = self._history.rounds.get(max(self._history.rounds, default=0))
        if live is None:
            return None
        number, state = live.task.round, self._steady.state()
        is_open = live.is_open_in(state)
        if is_open and self._steady.now() <= state.settle_by:
            self._live = live
            return None
        if live.done or not (is_open or (live.opened and is_over(state, number))):
            return None
        self._live = live
        self._finish(self._settling.time_out(live) if is_open else self._settling.report(live))
        return None if live.call is None else self._history.outcome(number)

    def booked(self) -> None:
        """Forget what is needed no more once what the rounds that are over taught is saved: their vectors."""
        for live in self._unbooked:
            self._history.clear(live.task.round)
            live.done = True
            self._history.save(live)
        self._unbooked.clear()

    def catch_up(self) -> None:
        """Repeat every step that the chain has forgotten, or never got; raises `CommitmentsExpired` like `resume`."""
        self._history.catch_up()

    def anchored(self, parts: TaskParts) -> TaskId | None:
        """The live task if the market has anchored just these parts, else None."""
        return self._opening.anchored(parts, self._steady.state())

    def anchor(self, parts: TaskParts) -> TaskId:
        """Make sure that these parts are the anchored task, and begin its round; the task, with the round's number."""
        self.catch_up()
        self._live = None
        self._live = self._opening.anchor(parts)
        self._on_stage(self.task.round, "train")
        return self.task

    def add_commitment(self, owner: Address, digest: bytes, signature: bytes, round_number: int | None = None) -> None:
        """Take a data owner's commitment.

        Parameters
        ----------
        owner : Address
        digest : bytes, length 32
        signature : bytes, length 64
        round_number : int, optional
            The round, if it is not the live one: one that must be opened again.

        Raises
        ------
        ProtocolError
            Not of this epoch, or a second, different commitment.
        TaskMismatch
            The signature is not the owner's for this task.
        """
        live = self._history.rounds.get(round_number) if round_number is not None else self._need()
        if live is None:
            raise ProtocolError(f"round {round_number} is not kept any more; expected one of the last; ignore the commitment")
        live.add_commitment(owner, digest, signature)

    def open(self) -> tuple[bytes, ...]:
        """Open the round with every whole group that committed.

        Groups with a member that did not deliver in an earlier round of this epoch are left out, and so not paid, as long as enough
        others are left.

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
        CommitmentsExpired
            The task was anchored anew: the data owners must sign again.
        """
        live = self._need()
        self._on_stage(live.task.round, "open")
        self.catch_up()
        state = self._steady.state()
        self._history.note_anchored(live, state)
        self._history.check_signatures(live)
        if not (live.opened and state.stage is Stage.OPEN):
            try:
                with live.timed("chain"):
                    self._opening.open(live)
            except (TooFewGroups, TooLate):
                self._finish(self._settling.not_opened(live))
                self._history.clear(live.task.round)
                raise
        self._on_stage(live.task.round, "deliver")
        return live.digests()

    def state(self) -> MarketState:
        """Where the market stands; asked for again for a while if the chain fails."""
        return self._steady.state()

    def commit_seconds(self) -> float:
        """How long commitments to the live task may take so that its round can still be opened; at least a second."""
        return float(max(self._need().open_by - self._steady.now() - OPEN_MARGIN_SECONDS, 1))

    def deliver_seconds(self) -> float:
        """How long deliveries may take so that enough time is left to accuse, if that is wanted, or to prove; at least a second."""
        state = self._steady.state()
        return float(max(self._disputes.deliver_by(state) - self._steady.now(), 1))

    def digests(self) -> tuple[bytes, ...]:
        """Digests of the roster, in order."""
        return self._need().digests()

    def roster_owners(self) -> tuple[Address, ...]:
        """Data owners on the roster, in order."""
        return tuple(member.owner for member in self._need().roster_members())

    def missing_owners(self) -> tuple[Address, ...]:
        """Data owners on the roster who have not delivered, in order."""
        return tuple(member.owner for member in self._need().missing())

    def metrics(self) -> tuple[Metrics, ...]:
        """What came along with deliveries that are good, in the order of the roster."""
        return tuple(self._need().deliveries[owner].metrics for owner in self.roster_owners() if owner not in self.missing_owners())

    def add_delivery(self, owner: Address, vector: bytes, points: bytes, metrics: Metrics | None = None) -> None:
        """Take a delivery: canonical, its points the digest's and good by the market's own check.

        Whether vector and points belong together is checked for all deliveries at once by `prove`.

        Raises
        ------
        ProtocolError
            Not on the roster, or not what was committed.
        WireError
            Malformed vector or points.
        """
        self._receiving.add(self._need(), owner, vector, points, metrics or {})

    def prove(self) -> Proven:
        """Decide the round as the contract will, prove it, and decode the mean of the accepted groups.

        Groups with a delivery missing are waived: paid, and not learned from; or, as was asked for, their members are accused first.
        """
        return self._proving.prove(self._need())

    def settle(self, proven: Proven, following: TaskParts | None, outcome: Record | None = None) -> RoundReport:
        """Settle the round and anchor the next task, if there is one, in the same transaction.

        A round that is found to have timed out is reported as such: all its members are paid.

        Parameters
        ----------
        proven : Proven
        following : TaskParts or None
        outcome : Record, optional
            What comes of it; a later process gets it from `resume` if this one does not live to save it.

        Raises
        ------
        SettlementRefused
            The market does not take it; what it fell over will be waived: prove again.
        LedgerError
            It does not take it even if everybody is paid.
        """
        live = self._need()
        self._on_stage(live.task.round, "settle")
        with live.timed("chain"):
            report = self._settling.settle(live, proven, following, outcome)
        done = self._finish(report)
        if outcome is None:
            self._history.clear(live.task.round)
        return done

    def _need(self) -> LiveRound:
        if self._live is None:
            raise ProtocolError("no round is live; anchor a task first")
        return self._live

    def _finish(self, report: RoundReport) -> RoundReport:
        live = self._need()
        done = replace(report, receipts=tuple(live.receipts), seconds=dict(live.seconds))
        self.reports += (done,)
        self._live = None
        if live.opened:
            self._unbooked.append(live)
        self._on_stage(report.round, "done")
        self._on_round(done)
        return done
