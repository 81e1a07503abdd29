"""The model owner's rounds, without Flower: anchor, collect commitments, open, collect deliveries, dispute, prove, settle.

One `RoundKeeper` keeps one market and has at most one live round. By the contract's own rules it checks whatever a data
owner sends, before that can reach a transaction. It notes each step in the journal before it sends it; if chain or process lose some,
`Replay` takes them again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, ParamSpec

from ..clock import Clock
from ..crypto.curve import parse_points
from ..errors import ChainError, NotReopened, ProtocolError, TermsError, TooFewGroups
from ..market.examples import count_of
from ..market.ledger import ModelOwnerLedger
from ..market.market_view import MarketState
from ..market.refusals import TooLate, WrongRound, WrongStage
from ..market.stage import Stage
from ..market.task import TaskId, TaskParts
from ..market.terms import Address, Terms
from .aside import Aside
from .decision import Decision, decide
from .deliveries import Deliveries
from .disputes import Disputes
from .live_round import LiveRound, Metrics
from .opening import LEAST_COMMIT_SHARE, Opening
from .patient_ledger import patient
from .replay import Replay
from .round_journal import RoundJournal
from .round_report import RoundReport
from .run_directory import Record, RunDirectory
from .settling import BLOCK_SECONDS, Settling

Missing = Literal["waive", "accuse"]
"""What becomes of a group with a member that does not deliver."""

OPEN_MARGIN_BLOCKS = 6
"""How long before it is too late to open commitments end: the opening must be mined by then, though blocks are missed."""

CHECK_TRIES = 3
"""How often the chain is asked to check a delivery's points."""

Told = ParamSpec("Told")


class RoundKeeper:
    """Keeps the rounds of one market.

    Parameters
    ----------
    missing : {"waive", "accuse"} (default: "waive")
        What to do about members of the roster that do not deliver: pay their groups and go on without them, at once; or accuse them
        if there is time, and go on with what they answer on chain. A group with a member that does not answer is void. Either way
        its group is left out of later rounds of the epoch, and so not paid, while there are others.
    directory : RunDirectory, optional
        Where rounds are written down, so that another process can take them up.
    on_stage : callable, optional
        Called with round and name of each stage as it begins, in a thread of its own: a round waits for it 15 s at most, and goes on.
    on_round : callable, optional
        Called with the report of each round as it ends.
    on_trouble : callable, optional
        Called with a sentence whenever something went wrong that the round survives; so is a failure of the other two.

    Raises
    ------
    TermsError
        The market knows no accusations, and members are to be accused.
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
        clock: Clock | None = None,
    ) -> None:
        self.ledger = ledger
        self.terms: Terms = ledger.terms()
        self._scheme = ledger.scheme()
        self.reports: tuple[RoundReport, ...] = ()
        self._clock = clock or Clock()
        self._steady = patient(ledger, self._clock)
        self._on_trouble = on_trouble or (lambda reason: None)
        self._on_stage = (lambda number, stage: None) if on_stage is None else Aside(on_stage, self._on_trouble)
        self._on_round = self._survived(on_round or (lambda report: None))
        if missing == "accuse" and not self.terms.answer_seconds:
            raise TermsError(
                'missing="accuse" in a market without accusations (answer-seconds is 0); expected "waive"; or choose another market'
            )
        self._journal = RoundJournal(directory, self._scheme, self._on_trouble)
        self._replay = Replay(self._steady, self._journal, self._on_trouble)
        self._deliveries = Deliveries(self._journal, self._scheme, self._on_trouble)
        self._disputes = Disputes(
            ledger,
            self._clock,
            self._journal,
            self._deliveries,
            accuse=missing == "accuse",
            on_stage=self._on_stage,
            on_trouble=self._on_trouble,
        )
        self._opening = Opening(ledger, self._clock, self._journal, self._replay, self._on_stage)
        self._settling = Settling(ledger, self._clock, self._journal, self._replay, self._on_trouble)
        self._live: LiveRound | None = None
        self._unbooked: list[LiveRound] = []

    # What is known

    @property
    def is_live(self) -> bool:
        """Whether a round has begun here and is not over."""
        return self._live is not None

    @property
    def is_open(self) -> bool:
        """Whether the live round has been opened."""
        return self._live is not None and self._live.opened

    @property
    def live(self) -> LiveRound:
        """The live round; raises `ProtocolError` if there is none."""
        if self._live is None:
            raise ProtocolError("no round is live; anchor a task first")
        return self._live

    def state(self) -> MarketState:
        """Where the market stands; asked for again for a while if the chain fails."""
        return self._steady.state()

    def commit_seconds(self) -> float:
        """How long commitments to the live task may take so that its round can still be opened; at least a second."""
        return float(max(self.live.open_by - self._steady.now() - open_margin_seconds(self.terms), 1))

    def deliver_seconds(self) -> float:
        """How long deliveries may take so that time is left to accuse, if that is wanted, and to prove; at least a second."""
        return float(max(self._disputes.deliver_by(self._steady.state()) - self._steady.now(), 1))

    def expected_owners(self) -> int:
        """How many data owners of the epoch may be expected to commit: not those who did not in the last round."""
        state = self._steady.state()
        return state.members.bit_count() - len(self._journal.absent(state.epoch).uncommitted)

    def settle_seconds(self) -> float:
        """How long the round can still be settled, below 0 if it is too late; the whole window if its opening was forgotten."""
        state = self._steady.state()
        if state.stage is not Stage.OPEN:  # a reorganisation took the opening away: it is made again, with a window of its own
            return float(self.terms.round_seconds)
        return float(state.settle_by - self._steady.now())

    def may_open(self, *, grace_over: bool, timed_out: bool = False) -> bool:
        """Whether the round may be opened before its commit window ends.

        All groups are whole; or 2f + 3 are, and no others are waited for: it has timed out, or the grace period is over and each of the
        others has a member that did not commit in the last round either. Poisoners need no time to train: who opens with fewer opens
        without the honest ones.
        """
        live = self.live
        late = set(range(len(live.groups))) - set(live.signed_groups())
        if not late:
            return True
        if len(live.groups) - len(late) < self.terms.least_groups:
            return False
        return timed_out or (grace_over and late <= live.groups_of(self._journal.absent(live.task.epoch).uncommitted))

    def may_prove(self, *, grace_over: bool, timed_out: bool = False, early: bool = False) -> bool:
        """Whether deliveries need not be waited for.

        All are there; or the grace period is over and each of the others failed to deliver before in this epoch; or it has timed out, and
        either nobody says that its chain does not show the opening yet (`early`), or 2f + 3 groups are whole without them.
        """
        live = self.live
        missing = {member.owner for member in live.missing()}
        if grace_over and missing <= self._journal.absent(live.task.epoch).undelivered:
            return True
        enough = len(live.roster) - len(live.groups_of(missing)) >= self.terms.least_groups
        return not missing or (timed_out and (enough or not early))

    def may_deliver_again(self) -> bool:
        """Whether deliveries are missing that named another roster, and there is time to ask for them again."""
        return len(self.live.defaulting()) < len(self.live.missing()) and self.deliver_seconds() > 1

    # Taking over from another process, or from a chain that has gone back

    def resume(self) -> Record | None:
        """Take up what an earlier process has left: an open round goes on, one that is over is reported.

        The outcome that the last round was settled with, unless it is booked.

        Raises
        ------
        CommitmentsExpired
            The round was anchored anew, and must be signed again before it can be opened again.
        """
        self._journal.load(chain_id=self.ledger.chain_id, market=self.ledger.address)
        state, live = self.catch_up(), self._journal.newest()
        if live is None:
            return None
        is_open = live.is_open_in(state)
        live.epoch_seed = state.epoch_seed
        if is_open and self._steady.now() <= state.settle_by:
            self._live = live
            return None
        if live.done or not (is_open or (live.opened and live.is_over_in(state))):
            return None
        self._live = live
        if is_open:
            self._settling.time_out(live)
        self._finish(self._report(live))
        return None if live.call is None else self._journal.outcome(live.task.round)

    def booked(self) -> None:
        """Forget the vectors of rounds that are over: what they taught is saved."""
        for live in self._unbooked:
            self._journal.clear(live.task.round)
            live.done = True
            self._journal.save(live)
        self._unbooked.clear()

    def catch_up(self) -> MarketState:
        """Take every step again that the chain has forgotten, or never got; raises `CommitmentsExpired` like `resume`."""
        return self._replay.catch_up()

    # Anchoring

    def anchored(self, parts: TaskParts) -> TaskId | None:
        """The live task if the market has anchored just these parts, else None."""
        return self._opening.task_in(self._steady.state(), parts)

    def anchor(self, parts: TaskParts) -> TaskId:
        """Make sure that these parts are the anchored task, and begin its round; the task, with the round's number."""
        state = self.catch_up()
        self._live = None
        self._live = self._opening.anchor(parts, state)
        self._on_stage(self.live.task.round, "train")
        return self.live.task

    # Opening

    def add_commitment(self, owner: Address, digest: bytes, signature: bytes, round_number: int | None = None) -> None:
        """Take a data owner's commitment.

        Parameters
        ----------
        round_number : int, optional
            The round, if it is not the live one: one that must be opened again.

        Raises
        ------
        ProtocolError
            Not of this epoch, or a second, different commitment.
        TaskMismatch
            The signature is not the owner's for this task.
        """
        live = self._journal.rounds.get(round_number) if round_number is not None else self.live
        if live is None:
            raise ProtocolError(f"round {round_number} is not kept any more; expected one of the last")
        live.add_commitment(owner, digest, signature)

    def open(self) -> tuple[bytes, ...]:
        """Open the round with every whole group that committed; the digests of its roster, in order.

        Groups with a member that did not deliver in an earlier round of this epoch are left out, and so not paid, while there are others.
        That lowers no f' which counts: a group that is not there is judged no more if it is on the roster.

        Raises
        ------
        TooFewGroups
            No whole group; the round is reported as not opened.
        TooLate, WrongRound, WrongStage
            The commit window is over, or another process has gone on with the market; likewise.
        CommitmentsExpired
            The task was anchored anew: the data owners must sign again.
        """
        live = self.live
        self._on_stage(live.task.round, "open")
        state = self.catch_up()
        live.epoch_seed = state.epoch_seed
        self._replay.check_signatures(live)
        if not (live.opened and state.stage is Stage.OPEN):
            try:
                with live.timed("chain"):
                    self._opening.open(live)
            except (TooFewGroups, TooLate, WrongRound, WrongStage):
                self._finish(live.report_not_opened())
                self._journal.clear(live.task.round)
                raise
        self._on_stage(live.task.round, "deliver")
        return live.digests()

    # Deliveries

    def add_delivery(
        self, owner: Address, vector: bytes, points: bytes, projected: bytes = b"", signature: bytes = b"", metrics: Metrics | None = None
    ) -> None:
        """Take a delivery: canonical, its points the digest's, its projection signed, and good by the market's own check.

        Whether vector, points and projection belong together is checked for all deliveries at once by `prove`.

        Raises
        ------
        ProtocolError
            Not on the roster, or not what was committed, or not signed.
        WireError
            Malformed vector, points or signature.
        """
        live = self.live
        parse_points(projected, int(self.terms.projected))
        live.check_delivery(owner, self._scheme.digest(vector, points), projected, signature)
        with live.timed("check"):
            seed = live.projection_seed(live.epoch_seed)
            delivered = self._deliveries.check(vector, points, projected, signature, metrics, seed=seed)
        with live.timed("chain"):
            good = not delivered.shown or self._check_points(delivered.shown)
        if not good:
            raise ProtocolError(f"the verification refuses the points of {owner}; expected points of the subgroup")
        self._deliveries.keep(live, owner, delivered, vector)

    def _check_points(self, points: bytes) -> bool:
        """The market's own check; ours, which is the same and has passed, is enough if the chain does not answer."""
        for _ in range(CHECK_TRIES):
            try:
                return self.ledger.check_points(points)
            except ChainError as error:
                self._on_trouble(f"the chain could not check a delivery: {error}")
                self._clock.pause()
        return True

    # Proving

    def prove(self) -> Decision:
        """Decide the round as the contract will, prove it, and decode the mean of the accepted groups.

        Groups with a delivery missing are waived: paid, and not learned from; or, as was asked for, their members are accused first.

        Raises
        ------
        NotReopened
            The chain has forgotten the opening for good; the round is reported as not opened.
        """
        live = self.live
        if not live.opened:
            self._end_unopened(live)
            raise NotReopened(live.task.round)
        live.epoch_seed = self._steady.state().epoch_seed
        seed = live.projection_seed(live.epoch_seed)
        with live.timed("check"):
            for owner in self._deliveries.mismatched(live, seed):
                self._on_trouble(f"{owner} delivered another vector than it committed to, or a wrong projection; it counts as missing")
                self._journal.drop_delivery(live, owner)
        self._journal.note_undelivered(live.task.epoch, [member.owner for member in live.defaulting()])
        state = self._disputes.hold(live)
        self._on_stage(live.task.round, "prove")
        sums = self._deliveries.group_sums(live, seed)
        with live.timed("prove"):
            return decide(
                self._scheme,
                live.task.settlement_context(live.epoch_seed),
                live.roster_hash(),
                sums,
                void=self._disputes.void_positions(live, state),
                spoilt=live.spoilt,
                counts=[sum(count_of(one.examples, self.terms.usual_examples) for one in group) for group in live.roster_groups()],
                on_trouble=self._on_trouble,
            )

    # Settling

    def settle(self, decision: Decision, following: TaskParts | None, outcome: Record | None = None) -> RoundReport:
        """Settle the round and anchor the next task, if there is one, in the same transaction.

        A round that is found to have timed out is reported as such: all its members are paid.

        Parameters
        ----------
        outcome : Record, optional
            What comes of it; a later process gets it from `resume` if this one does not live to save it.

        Raises
        ------
        SettlementRefused
            The market does not take it; what it fell over will be waived: prove again, after another try to collect what
            `may_deliver_again`.
        NotReopened
            As `prove`.
        LedgerError
            It does not take it even if everybody is paid.
        """
        live = self.live
        self._on_stage(live.task.round, "settle")
        try:
            with live.timed("chain"):
                self._settling.settle(live, decision, following, outcome)
        except NotReopened:
            self._end_unopened(live)
            raise
        report = self._finish(self._report(live))
        if outcome is None:
            self._journal.clear(live.task.round)
        return report

    # The end

    def _end_unopened(self, live: LiveRound) -> None:
        """End a round whose opening was forgotten, and that cannot be opened again."""
        self._finish(live.report_not_opened())
        self._journal.clear(live.task.round)

    def _report(self, live: LiveRound) -> RoundReport:
        """What a round that is over on chain came to."""
        number = live.task.round
        return live.report(paid_seats=self._steady.paid_seats(number), timed_out=self._steady.bond_share_wei(number) > 0)

    def _finish(self, report: RoundReport) -> RoundReport:
        live, self._live = self.live, None
        self.reports += (report,)
        if live.opened:
            self._unbooked.append(live)
        self._on_stage(report.round, "done")
        self._on_round(report)
        return report

    def _survived(self, callback: Callable[Told, object]) -> Callable[Told, None]:
        """`callback`, whose failures are told: a progress display must not stand between an open round and its settlement."""

        def call(*told: Told.args, **named: Told.kwargs) -> None:
            try:
                callback(*told, **named)
            except Exception as error:
                self._on_trouble(f"a callback failed, and the round goes on without it: {error!r}")

        return call


def open_margin_seconds(terms: Terms) -> int:
    """How long before it is too late to open a round commitments end."""
    return min(OPEN_MARGIN_BLOCKS * BLOCK_SECONDS, terms.commit_seconds // LEAST_COMMIT_SHARE)
