"""Accusing who did not deliver, waiting for the answers, and taking the vectors from the chain (docs/protocol.md section 8)."""

from __future__ import annotations

from ..crypto.commitment import commit, points_digest
from ..crypto.curve import parse_points
from ..crypto.field import FieldVector, N
from ..errors import ChainError, LedgerError, ProtocolError
from ..market.dispute import accuse_by, lapsed, void_groups
from ..market.market_view import MarketState, Member
from ..market.roster import bitmap_of, bits_of
from ..market.stage import Stage
from .live_round import Delivered, LiveRound
from .patient_ledger import PATIENCE_SECONDS, insist
from .round_journal import RoundHistory
from .surroundings import Surroundings

ACCUSE_MARGIN_SECONDS = 24
"""With less time than this left to accuse, nobody is accused: the transaction might come too late."""

RESERVE_SECONDS = 16
"""How long before it is too late to accuse the deliveries are ended, for they are never ended to the second."""

LAPSE_MARGIN_SECONDS = 24
"""How long after the deadline of an accusation it is taken as lapsed: two blocks, so that the last one is certainly past it."""

ACCUSATIONS = 3
"""How often an accusation is tried."""


class Disputes:
    """Settles with whom a round goes on.

    Parameters
    ----------
    around : Surroundings
    history : RoundHistory
    accuse : bool
        Whether to accuse members of the roster that do not deliver; those accused by an earlier process are waited for in any case.
    """

    def __init__(self, around: Surroundings, history: RoundHistory, *, accuse: bool) -> None:
        self._around = around
        self._history = history
        self._accuse = accuse

    def deliver_by(self, state: MarketState) -> int:
        """Unix seconds until which a delivery of the open round is of use."""
        terms = self._around.terms
        return self._accuse_by(state) - RESERVE_SECONDS if self._accuse else state.settle_by - terms.prove_seconds

    def hold(self, live: LiveRound) -> MarketState:
        """Accuse, wait for the answers, and go on with them as if they had been delivered; the market's state then.

        Whatever prevents an accusation, its group is waived instead.
        """
        if self._accuse:
            self._accuse_certainly(live)
        state = self._around.steady.state()
        if state.accused & ~state.answered:
            self._around.on_stage(live.task.round, "answer")
            state = self._await_answers()
        self._take_answers(live, state)
        return state

    def void_positions(self, live: LiveRound, state: MarketState) -> frozenset[int]:
        """Roster positions of the groups that the market takes as void from now on."""
        roster = [bitmap_of(member.seat for member in group) for group in live.roster_groups()]
        now = self._around.steady.now()
        seats = lapsed(accused=state.accused, answered=state.answered, answer_by=state.answer_by, now=now)
        return frozenset(bits_of(void_groups(roster, seats)))

    def _accuse_certainly(self, live: LiveRound) -> None:
        """Accuse who is missing; prices that have risen since, or a transaction that is slow, are a reason to try again."""
        for left in reversed(range(ACCUSATIONS)):
            try:
                self._accuse_missing(live)
                return
            except (ChainError, LedgerError) as error:
                if left:
                    self._around.on_trouble(f"accusing failed and is tried again: {error}")
                    self._around.pause()
                else:
                    self._around.on_trouble(f"nobody could be accused, so the groups of those missing are waived: {error}")

    def _accuse_missing(self, live: LiveRound) -> None:
        state = self._around.steady.state()
        seats = bitmap_of(member.seat for member in live.missing()) & ~state.accused
        if not seats or state.stage is not Stage.OPEN:
            return
        if self._around.steady.now() > self._accuse_by(state):
            self._around.on_trouble("it is too late to accuse; the groups of those missing are waived")
            return
        live.receipts.append(self._around.ledger.accuse(live.task.round, seats, live.digests()))
        self._history.save(live)

    def _accuse_by(self, state: MarketState) -> int:
        return accuse_by(state.settle_by, self._around.terms) - ACCUSE_MARGIN_SECONDS

    def _await_answers(self) -> MarketState:
        """Wait until every accused has answered or is too late."""
        around = self._around
        while True:
            state = around.steady.state()
            left = state.answer_by + LAPSE_MARGIN_SECONDS + 1 - around.steady.now()
            if not state.accused & ~state.answered or left <= 0:
                return state
            around.wait(min(around.poll_seconds, left))

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
                live.deliveries[member.owner] = self._answer_of(live, member, state)
            except Exception as error:  # the bond is at stake: without this vector the round goes on, late it does not
                self._around.on_trouble(f"the answer of {member.owner} cannot be used, so its group is waived: {error}")

    def _answer_of(self, live: LiveRound, member: Member, state: MarketState) -> Delivered:
        polynomials = self._around.terms.polynomials
        vector = FieldVector.from_bytes(self._fetch(live.task.round, member.seat, state), N * polynomials)
        points = commit(vector)
        if points_digest(points) != live.commitments[member.owner].digest:
            raise ProtocolError(f"the blobs are not what seat {member.seat} committed to; expected the chain's own; ask another endpoint")
        return Delivered(vector, points, parse_points(points, polynomials))

    def _fetch(self, round_number: int, seat: int, state: MarketState) -> bytes:
        """An answered vector; asked for again for a while, but not beyond half of the time to prove."""
        around = self._around
        left = state.settle_by - around.terms.prove_seconds / 2 - around.steady.now()
        return insist(
            lambda: around.ledger.answered_vector(round_number, seat),
            seconds=min(PATIENCE_SECONDS, left),
            wait=around.wait,
            poll_seconds=around.poll_seconds,
        )
