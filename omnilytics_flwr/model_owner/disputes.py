"""Disputes: accuse who did not deliver, wait for the answers, and take the vectors from the chain (docs/specification/protocol.md section 8).

A dispute must never cost the round: if anything goes wrong here, the group is waived. That costs its rewards; a round that is not settled in
time costs the bond.
"""

from __future__ import annotations

from collections.abc import Callable

from ..clock import Clock
from ..crypto.digest import points_digest
from ..crypto.field import FieldVector, N
from ..crypto.kzg import commit
from ..crypto.projection import project
from ..errors import ChainError, LedgerError, ProtocolError
from ..market.dispute import accuse_by, lapsed, void_groups
from ..market.ledger import ModelOwnerLedger
from ..market.market_view import MarketState, Member
from ..market.roster import bitmap_of, bits_of
from ..market.stage import Stage
from .deliveries import Deliveries
from .live_round import Delivered, LiveRound
from .patient_ledger import PATIENCE_SECONDS, insist, patient
from .round_journal import RoundJournal

ACCUSE_MARGIN_SECONDS = 24
"""Nobody is accused with less time than this left to do it: two blocks, for a transaction that comes too late is paid in vain."""

DELIVER_MARGIN_SECONDS = 16
"""How long before it is too late to accuse deliveries end: an exchange with the nodes does not end to the second."""

LAPSE_MARGIN_SECONDS = 24
"""How long after its deadline an accusation counts as lapsed: two blocks, so that the next block is certainly past it."""

ACCUSE_TRIES = 3


class Disputes:
    """Settles with whom a round goes on.

    Parameters
    ----------
    ledger : ModelOwnerLedger
        Fails at once if the chain does.
    accuse : bool
        Whether to accuse members of the roster that did not deliver. Those whom an earlier process accused are waited for anyway.
    on_stage, on_trouble : callable
        As for `RoundKeeper`.
    """

    def __init__(
        self,
        ledger: ModelOwnerLedger,
        clock: Clock,
        journal: RoundJournal,
        deliveries: Deliveries,
        *,
        accuse: bool,
        on_stage: Callable[[int, str], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._steady = patient(ledger, clock)
        self._terms = ledger.terms()
        self._clock = clock
        self._journal = journal
        self._deliveries = deliveries
        self._accuse = accuse
        self._on_stage = on_stage
        self._on_trouble = on_trouble

    def deliver_by(self, state: MarketState) -> int:
        """Last Unix second at which a delivery to the open round is of use."""
        return self._accuse_by(state) - DELIVER_MARGIN_SECONDS if self._accuse else state.settle_by - self._terms.prove_seconds

    def hold(self, live: LiveRound) -> MarketState:
        """Accuse who is missing, wait for the answers, take them as deliveries; the market's state then."""
        if self._accuse:
            self._accuse_or_waive(live)
        state = self._steady.state()
        if state.accused & ~state.answered:
            self._on_stage(live.task.round, "answer")
            state = self._await_answers()
        self._take_answers(live, state)
        return state

    def void_positions(self, live: LiveRound, state: MarketState) -> frozenset[int]:
        """Roster positions of the groups that the market takes as void from now on."""
        roster = [bitmap_of(member.seat for member in group) for group in live.roster_groups()]
        seats = lapsed(accused=state.accused, answered=state.answered, answer_by=state.answer_by, now=self._steady.now())
        return frozenset(bits_of(void_groups(roster, seats)))

    def _accuse_by(self, state: MarketState) -> int:
        return accuse_by(state.settle_by, self._terms) - ACCUSE_MARGIN_SECONDS

    def _accuse_or_waive(self, live: LiveRound) -> None:
        for tries_left in reversed(range(ACCUSE_TRIES)):
            try:
                self._accuse_missing(live)
                return
            except (ChainError, LedgerError) as error:
                if not tries_left:
                    self._on_trouble(f"nobody could be accused, so the groups of those missing are waived: {error}")
                    return
                # Fees may have outrun the deposit, which is worked out anew, or the transaction was slow.
                self._on_trouble(f"accusing failed and is tried again: {error}")
                self._clock.pause()

    def _accuse_missing(self, live: LiveRound) -> None:
        state = self._steady.state()
        # Asked of the chain, not remembered: an accusation that seemed to fail may be mined by now.
        seats = bitmap_of(member.seat for member in live.defaulting()) & ~state.accused
        if not seats or state.stage is not Stage.OPEN:
            return
        if self._steady.now() > self._accuse_by(state):
            self._on_trouble("it is too late to accuse; the groups of those missing are waived")
            return
        live.receipts.append(self._ledger.accuse(live.task.round, seats, live.digests(), live.signatures(seats)))
        self._journal.save(live)

    def _await_answers(self) -> MarketState:
        """The state once every accused has answered, or has certainly lapsed."""
        while True:
            state = self._steady.state()
            left = state.answer_by + LAPSE_MARGIN_SECONDS + 1 - self._steady.now()
            if not state.accused & ~state.answered or left <= 0:
                return state
            self._clock.wait(min(self._clock.poll_seconds, left))

    def _take_answers(self, live: LiveRound, state: MarketState) -> None:
        for member in live.roster_members():
            if state.accused >> member.seat & 1:
                live.accused.add(member.owner)
            if not state.answered >> member.seat & 1:
                continue
            live.answered.add(member.owner)
            if member.owner in live.deliveries:
                continue
            try:
                self._deliveries.keep(live, member.owner, *self._answer_of(live, member, state))
            except Exception as error:  # of whatever kind: without this vector the round settles, too late it does not
                self._on_trouble(f"the answer of {member.owner} cannot be used, so its group is waived: {error}")

    def _answer_of(self, live: LiveRound, member: Member, state: MarketState) -> tuple[Delivered, bytes]:
        """What an accused has answered, as a delivery, and its vector."""
        polynomials, number, seed = self._terms.polynomials, live.task.round, live.projection_seed(state.epoch_seed)
        # Half of the time to prove is kept for proving: neither blobs that nobody serves nor many answers may use it up.
        left = min(PATIENCE_SECONDS, state.settle_by - self._terms.prove_seconds / 2 - self._steady.now())
        if left <= 0:
            raise ProtocolError("half of the time to prove is used; expected an answer with time left to check it")
        raw = insist(lambda: self._ledger.answered_vector(number, member.seat), self._clock, seconds=left)
        vector = FieldVector.from_bytes(raw, N * polynomials)
        # Blobs come from an endpoint that nobody vouches for; the points are made anew from what it gave.
        points = commit(vector)
        if points_digest(points) != live.commitments[member.owner].digest:
            raise ProtocolError(f"the blobs are not what seat {member.seat} committed to; expected the chain's own; ask another endpoint")
        if not self._terms.projected:
            return self._deliveries.check(raw, points, seed=seed), raw
        signed = insist(lambda: self._ledger.answered_delivery(number, member.seat), self._clock, seconds=left)
        projected = commit(project(vector, seed))
        if points_digest(projected) != signed[:32]:
            raise ProtocolError(f"seat {member.seat} has signed another projection than its vector's")
        return self._deliveries.check(raw, points, projected, signed[32:], seed=seed), raw
