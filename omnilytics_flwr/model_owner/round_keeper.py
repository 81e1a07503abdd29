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
from ..crypto.statement import VerificationBadPoint
from ..errors import ChainError, LedgerError, NotReopened, ProtocolError, SettlementRefused, TermsError, TooFewGroups
from ..market.ledger import ModelOwnerLedger
from ..market.market_view import MarketState, Member
from ..market.refusals import BadSignature, NotStaked, TooLate, Unresolved, WrongRound, WrongStage
from ..market.roster import bits_of
from ..market.stage import Stage
from ..market.task import TaskId, TaskParts
from ..market.terms import Address, Terms
from .decision import Decision, decide
from .deliveries import Deliveries
from .disputes import Disputes
from .live_round import LiveRound, Metrics, SettleCall
from .patient_ledger import insist, patient
from .replay import Replay
from .round_journal import RoundJournal
from .round_report import RoundReport
from .run_directory import Record, RunDirectory

Missing = Literal["waive", "accuse"]
"""What becomes of a group with a member that does not deliver."""

OPEN_MARGIN_BLOCKS = 6
"""How long before it is too late to open commitments end: the opening must be mined by then, though blocks are missed."""

LEAST_COMMIT_SHARE = 2
"""One part in this many of a commit window is left for commitments at least: an anchored task with less is anchored again."""

CHECK_TRIES = 3
"""How often the chain is asked to check a delivery's points."""

BLOCK_SECONDS = 12

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
        Called with round and name of each stage as it begins.
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
        self._on_stage = self._survived(on_stage or (lambda number, stage: None))
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
            self._time_out(live)
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
        return self._task_in(self._steady.state(), parts)

    def anchor(self, parts: TaskParts) -> TaskId:
        """Make sure that these parts are the anchored task, and begin its round; the task, with the round's number."""
        state = self.catch_up()
        self._live = None
        self._live = self._take_up(parts, state) or self._begin(parts, state)
        self._on_stage(self.live.task.round, "train")
        return self.live.task

    def _task_in(self, state: MarketState, parts: TaskParts) -> TaskId | None:
        task = self._task_of(parts, state, state.round)
        return task if state.stage is Stage.ANCHORED and task.task_hash == state.task_hash else None

    def _task_of(self, parts: TaskParts, state: MarketState, number: int) -> TaskId:
        return TaskId(self.ledger.chain_id, self.ledger.address, state.epoch, number, parts.task_hash(number))

    def _take_up(self, parts: TaskParts, state: MarketState) -> LiveRound | None:
        """The round of the anchored task, if it is of these parts and there is time to train for it."""
        task = self._task_in(state, parts)
        if task is None or state.open_by < self._steady.now() + self.terms.commit_seconds // LEAST_COMMIT_SHARE:
            return None
        live = self._journal.rounds.get(task.round)
        if live is None or live.task != task:
            live = LiveRound(task, state.open_by, self._groups(state))
            self._journal.begin(live)
        return live

    def _begin(self, parts: TaskParts, state: MarketState) -> LiveRound:
        number = state.round + 1
        self._on_stage(number, "anchor")
        live = LiveRound(self._task_of(parts, state, number), 0, self._groups(state))
        self._journal.begin(live)
        try:
            live.receipts.append(self._steady.anchor(live.task.task_hash))
        except LedgerError:
            self._journal.drop(number)
            raise
        self._replay.note_anchored(live, self._steady.state())
        return live

    def _groups(self, state: MarketState) -> tuple[tuple[Member, ...], ...]:
        by_seat = {member.seat: member for member in self._steady.members()}
        count = state.members.bit_count() // self.terms.group_size
        return tuple(tuple(by_seat[seat] for seat in bits_of(self._steady.group_seats(number))) for number in range(count))

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
        TooLate
            The commit window is over; likewise.
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
                    self._open(live)
            except (TooFewGroups, TooLate):
                self._finish(live.report_not_opened())
                self._journal.clear(live.task.round)
                raise
        self._on_stage(live.task.round, "deliver")
        return live.digests()

    def _open(self, live: LiveRound) -> None:
        without: frozenset[int] = frozenset()
        while True:
            roster, live.opened = self._choose(live, without), True
            self._journal.set_roster(live, roster)
            try:
                live.receipts.append(self._steady.open(live.task.round, live.roster_bitmap(), live.roster_hash()))
                self._journal.save(live)
                self._journal.note_uncommitted(live.task.epoch, live.uncommitted())
                return
            except NotStaked as gone:  # somebody took its stake back, or lost it, since it signed: go on without its group
                self._note_opened(live, False)
                without |= live.groups_at(gone.seats)
            except (WrongStage, WrongRound):
                self._look_again(live)
                if live.opened:
                    return
                raise
            except LedgerError:
                self._note_opened(live, False)
                raise

    def _choose(self, live: LiveRound, without: frozenset[int]) -> tuple[int, ...]:
        """Whole groups; if there are any, those alone that have always delivered in this epoch."""
        whole = tuple(number for number in live.signed_groups() if number not in without)
        if not whole:
            raise TooFewGroups(len(live.commitments), sum(map(len, live.groups)))
        unreliable = live.groups_of(self._journal.absent(live.task.epoch).undelivered)
        return tuple(number for number in whole if number not in unreliable) or whole

    def _look_again(self, live: LiveRound) -> None:
        """The market is not where it was: the round may be open by now, or anchored anew, or never have been anchored."""
        self._note_opened(live, live.is_open_in(self.catch_up()))
        if not live.opened:
            self._replay.check_signatures(live)

    def _note_opened(self, live: LiveRound, opened: bool) -> None:
        live.opened = opened
        self._journal.save(live)

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
        self._check_opened(live)
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
        with live.timed("chain"):
            self._settle(live, decision, following, outcome)
        report = self._finish(self._report(live))
        if outcome is None:
            self._journal.clear(live.task.round)
        return report

    def _settle(self, live: LiveRound, decision: Decision, following: TaskParts | None, outcome: Record | None) -> None:
        number = live.task.round
        state = self.catch_up()
        self._check_opened(live)
        if (state.stage, state.round) == (Stage.OPEN, number) and state.roster_hash != decision.roster_hash:
            raise SettlementRefused(number, "it had to be opened again with fewer groups")
        live.call = live.settle_call(
            decision.settlement,
            waived=decision.waived,
            void=decision.void,
            following=bytes(32) if following is None else following.task_hash(number + 1),
        )
        live.fates, live.scale, live.tolerated = decision.fates(), decision.scale, decision.tolerated
        # The outcome first: a round that is noted as settled must not teach nothing, unless the disk fails.
        self._journal.save_outcome(number, outcome)
        self._journal.save(live)
        try:
            self._send(live, live.call, state.settle_by)
        except TooLate:
            self._time_out(live)
        except (WrongStage, WrongRound):
            if not live.is_over_in(self.catch_up()):
                self._withdraw(live)
                self._check_opened(live)
                raise
        except Unresolved as refusal:  # the last block is not past the accusations' deadline yet, or somebody answered in it
            self._withdraw(live)
            self._clock.wait(BLOCK_SECONDS)
            raise SettlementRefused(number, str(refusal)) from refusal
        except LedgerError as refusal:
            self._withdraw(live)
            self._waive_culprits(live, decision, refusal)
            raise SettlementRefused(number, str(refusal)) from refusal

    def _send(self, live: LiveRound, call: SettleCall, settle_by: int) -> None:
        """Settle, and try as long as there is time: an account can be topped up, a chain comes back, and the bond is at stake."""
        number = live.task.round
        receipt = insist(
            lambda: self.ledger.settle(number, call.settlement, live.settle_signatures(call), call.waived, call.following),
            self._clock,
            seconds=settle_by - self._steady.now(),
            until_funded=True,
            on_trouble=lambda error: self._on_trouble(
                f"round {number} cannot be settled yet, which is tried again until it is too late: {error}"
            ),
        )
        live.receipts.append(receipt)

    def _time_out(self, live: LiveRound) -> None:
        """End an open round that was not settled in time, as anybody may."""
        self._on_trouble(f"round {live.task.round} was not settled in time; everybody on its roster is paid, and shares the bond")
        try:
            live.receipts.append(self._steady.timeout(live.task.round))
        except (WrongStage, WrongRound):  # somebody else was faster
            if not live.is_over_in(self._steady.state()):
                raise

    def _check_opened(self, live: LiveRound) -> None:
        """End a round whose opening was forgotten, and that cannot be opened again."""
        if not live.opened:
            self._finish(live.report_not_opened())
            self._journal.clear(live.task.round)
            raise NotReopened(live.task.round)

    def _withdraw(self, live: LiveRound) -> None:
        live.call = None
        self._journal.save(live)

    def _waive_culprits(self, live: LiveRound, decision: Decision, refusal: LedgerError) -> None:
        """Waive the groups that the market fell over; all of them if it does not say which; raise if none is left."""
        self._on_trouble(f"round {live.task.round}: the market refuses the settlement: {refusal}")
        # Void groups come last: waiving one pays it from the escrow instead of from the stakes that it lost.
        left = set(range(len(live.roster))) - {*decision.waived, *decision.void} or set(decision.void)
        if not left:
            raise refusal
        if isinstance(refusal, VerificationBadPoint):
            culprits = {position for position in left if not self._has_good_points(live, position)}
        elif isinstance(refusal, BadSignature):
            culprits = {position for position in left if refusal.seat in {member.seat for member in live.roster_groups()[position]}}
        else:
            culprits = set()
        live.spoilt |= culprits or left
        self._journal.save(live)

    def _has_good_points(self, live: LiveRound, position: int) -> bool:
        there = [live.deliveries[member.owner] for member in live.roster_groups()[position] if member.owner in live.deliveries]
        return all(self._steady.check_points(delivered.shown) for delivered in there)

    # The end

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
