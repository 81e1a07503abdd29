"""What the owner agent does on the chain by itself, because a Flower client runs only when the server calls it.

It answers accusations of its own seat with the journal's vector, calls `timeout` for rounds that were not settled, draws groups that
nobody else draws, claims what finished rounds owe, withdraws the ether that disputes freed, and enrols for the next epoch. It relies on
the chain and its own journal alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from ..clock import Clock
from ..crypto.kzg import BLOB_BYTES
from ..errors import ChainError, LedgerError, OmnilyticsError, Refused
from ..market.dispute import answer_cost_wei
from ..market.draw import HISTORY_BLOCKS
from ..market.ledger import DataOwnerLedger
from ..market.market_view import MarketState
from ..market.messages import Signer
from ..market.refusals import NotAccused, WrongStart
from ..market.roster import bits_of, member_place
from ..market.stage import Stage
from .journal import Entry, Journal
from .policy import BLOCK_SECONDS, Policy
from .second_node import SecondNode, is_accused, says_nothing
from .signed_projection import sign_projection
from .upkeep import Upkeep

SENDER_SHARE = 6, 5
"""What a sender allows itself, of the gas that an answer takes."""

DRAW_PATIENCE_BLOCKS = 300
"""How long the model owner has to draw the groups. A draw that is never made closes the market, on a chain of 2 s a block after 4.5 hours."""

REST_SECONDS = 900.0
"""How often a market that does not change is looked over all the same: a claim may wait for cheaper gas, a vector for its round's end to lie
deep enough. In between a look asks for the market's state and nothing else, for most providers count requests."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Watcher:
    """Watches one market for one data owner, on whose ledger and journal it works; while nothing changes, a look is one or two requests.

    Parameters
    ----------
    policy : Policy
        With values for what depends on the chain, see `Policy.for_chain`.
    balance_wei, gas_price_wei : callable
        Return the account's ether, and what a unit of gas costs now.
    enrol_again : callable, optional
        Enrols for the next epoch; called once the present one, with this data owner in it, has had its rounds.
    tidy : callable, optional
        Deletes what must not be kept; called at every look.
    on_seen : callable, optional
        Called with the market's state at every look that reached the chain.
    second : SecondNode, optional
        Another node: a vector is published for no accusation that it says is not there, and what it alone shows is told to the operator.
    """

    def __init__(
        self,
        *,
        ledger: DataOwnerLedger,
        journal: Journal,
        signer: Signer,
        policy: Policy,
        balance_wei: Callable[[], int],
        gas_price_wei: Callable[[], int],
        enrol_again: Callable[[], None] | None = None,
        tidy: Callable[[], None] | None = None,
        on_seen: Callable[[MarketState], None] | None = None,
        second: SecondNode | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._signer = signer
        self._policy = policy
        self._poll_seconds = policy.poll_seconds or BLOCK_SECONDS
        self._balance_wei = balance_wei
        self._upkeep = Upkeep(ledger, policy, gas_price_wei=gas_price_wei, enrol_again=enrol_again)
        self._tidy = tidy or (lambda: None)
        self._on_seen = on_seen or (lambda state: None)
        self._second = second
        self._clock = clock or Clock()
        self._seen_at: float | None = None
        self._looked_over: tuple[MarketState, float] | None = None
        self._own_seat: int | None = None
        self._is_open = False
        self._now: int | None = None
        self._failed = False
        self._late_since: tuple[tuple[str, int], float] | None = None
        self._warned_round = 0
        self._hidden_round = 0

    def run(self, stop: threading.Event) -> None:
        """Look at the chain every `poll_seconds` until `stop` is set; whatever fails is tried again at the next look."""
        while not stop.is_set():
            self.look()
            stop.wait(self._poll_seconds)

    def see(self) -> MarketState | None:
        """The market's state, if the chain can be reached; failures are logged."""
        return self._attempt("look at the chain", self._read)

    def look(self) -> None:
        """Look at the chain once and do what is to be done; failures are logged."""
        state = self.see()
        if state is not None:
            self._act(state)
        if self._second is not None:
            second = self._second
            self._attempt("look for accusations at the second node", lambda: self._warn_of_hidden(second))

    def _act(self, state: MarketState) -> None:
        is_news = self._is_news(state)
        if is_news:
            self._failed = False
            self._own_seat = self._attempt("read its seat", self._seat)
        seat = self._own_seat
        if seat is not None and state.stage is Stage.FROZEN:
            self._attempt("draw the groups", lambda: self._draw(state, seat))
        if seat is not None and state.stage is Stage.OPEN:
            if is_accused(state, seat):
                self._attempt("answer", lambda: self._answer(seat))
            self._attempt("time a round out", lambda: self._time_out(state, seat))
        if is_news:
            self._look_over(state, seat)
            self._looked_over = None if self._failed else (state, self._clock.now())

    def _is_news(self, state: MarketState) -> bool:
        """Whether more is to be looked at than the state: it changed, something failed at it, or it was long ago."""
        if self._looked_over is None:
            return True
        known, at = self._looked_over
        return known != state or self._clock.now() - at >= REST_SECONDS

    def _look_over(self, state: MarketState, seat: int | None) -> None:
        """Do what can wait for a change of the market, or for `REST_SECONDS`."""
        if seat is not None:
            if state.stage is Stage.OPEN:
                self._attempt("look at its ether", lambda: self._warn_of_ether(state))
            self._attempt("claim", lambda: self._upkeep.claim(state))
            self._attempt("withdraw", lambda: self._upkeep.withdraw(state, seat))
            self._attempt("enrol for the next epoch", lambda: self._upkeep.enrol(state, seat))
        self._attempt("tidy up", self._tidy)

    def check_ready(self) -> None:
        """Raise `Refused` while an accusation could go unanswered.

        Raises
        ------
        Refused
            The chain was not seen for the policy's `fresh_seconds`, or the account cannot pay for two answers, or one at the policy's stress price.
        """
        age = float("inf") if self._seen_at is None else self._clock.now() - self._seen_at
        if age > self._policy.fresh_seconds:
            raise Refused(
                f"the owner agent has not seen the chain for {age:.0f} s, at most {self._policy.fresh_seconds:.0f} s allowed; "
                "it could miss an accusation; its operator must look at its node"
            )
        self._check_ether()

    def _check_ether(self) -> None:
        """Raise `Refused` if the account cannot pay for two answers at present fees, or one at the policy's stress price."""
        terms = self._ledger.terms()
        if terms.answer_seconds == 0:
            return
        price_wei, (more, than) = self._policy.stress_price_wei or 0, SENDER_SHARE
        stress_wei = answer_cost_wei(terms.polynomials, blobs=self._ledger.blobs(), base_fee_wei=price_wei, blob_base_fee_wei=price_wei)
        # the least deposit: two answers
        held, needed = self._balance_wei(), max(self._ledger.answer_cost_wei(), stress_wei * more // than)
        if held < needed:
            raise Refused(
                f"{self._ledger.account} holds {held} wei, answering accusations may take {needed}; its operator must send it ether"
            )

    def _read(self) -> MarketState:
        # Only an open round needs the chain's time too.
        state, self._now = self._ledger.look() if self._is_open else (self._ledger.state(), None)
        self._is_open = state.stage is Stage.OPEN
        self._seen_at = self._clock.now()
        self._on_seen(state)
        return state

    def _seat(self) -> int | None:
        record = self._ledger.owner_record(self._ledger.account)
        return record.seat if record.registered else None

    def _answer(self, seat: int) -> None:
        """Answer an accusation, transaction by transaction, from where it stands."""
        found = self._accused_state(seat)
        if found is None:
            return
        state, confirmations = found
        self._upkeep.may_have_credit = True
        with self._journal.locked():
            entry = self._journal.find(self._ledger.chain_id, self._ledger.address, state.round)
        accusation = self._ledger.accusation(seat)
        if entry is None or not entry.vector or entry.digest != accusation.digest:
            raise Refused(
                f"seat {seat} is accused in round {state.round} of a digest {accusation.digest.hex()} that this journal has no vector of; "
                "the account has committed from another home, or the journal was lost"
            )
        self._check_second(state, seat, entry.digest, confirmations)
        while 0 <= (first := self._next_polynomial(seat, entry)) < len(entry.vector) // BLOB_BYTES:
            _log.info("answer an accusation in round %d from polynomial %d on", state.round, first)
            blobs = _blobs(entry, first, self._ledger.blobs())
            try:
                self._ledger.answer(state.round, seat, entry.points, first, blobs, self._delivery(entry, state, first + len(blobs)))
            except (WrongStart, NotAccused):  # somebody else sent part of the same vector: continue after it
                if self._next_polynomial(seat, entry) == first:
                    raise

    def _check_second(self, state: MarketState, seat: int, digest: bytes, confirmations: int) -> None:
        """Raise if the second node shows that there is no such accusation; if it says nothing, the stake comes first."""
        if self._second is None:
            return
        try:
            self._second.answer(state, seat, digest, confirmations)
        except ChainError as error:
            if not says_nothing(error):
                raise
            _log.warning("the second node says nothing, the accusation in round %d is answered all the same: %s", state.round, error)

    def _warn_of_hidden(self, second: SecondNode) -> None:
        """Tell the operator, once in a round, of an accusation that its own node does not show; only another node can pass the answer on."""
        found = second.accused(self._ledger.account)
        if found is None or found[0].round == self._hidden_round:
            return
        other, seat = found
        try:
            shown = self._ledger.state()
            is_hidden = shown.round != other.round or not shown.accused >> seat & 1
        except ChainError:
            is_hidden = True
        if is_hidden:
            self._hidden_round = other.round
            _log.error(
                "seat %d is accused in round %d, which the second node shows and the first does not; name another rpc-url in owner.toml, "
                "and start the agent again before %d (Unix seconds), or the stake is lost",
                seat,
                other.round,
                other.answer_by,
            )

    def _accused_state(self, seat: int) -> tuple[MarketState, int] | None:
        """The market's state if this seat has an accusation to answer now, and the blocks on top of it.

        One block on top is enough: an answer in vain costs a fee, a missed one the stake. In the second half of the window none is waited for.
        """
        state = self._ledger.state()
        late = self._ledger.now() > state.answer_by - self._ledger.terms().answer_seconds // 2
        confirmations = 0 if late else min(self._policy.confirmations or 0, 1)
        if not late:
            state = self._ledger.state(confirmations)
        return (state, confirmations) if is_accused(state, seat) and self._ledger.now() <= state.answer_by else None

    def _delivery(self, entry: Entry, state: MarketState, answered: int) -> bytes:
        """What an answer brings besides its blobs: nothing, but with the last polynomial in a projected market."""
        if not self._ledger.terms().projected or answered < self._ledger.terms().polynomials:
            return b""
        with self._journal.locked():
            return sign_projection(entry, state, journal=self._journal, signer=self._signer).answer

    def _warn_of_ether(self, state: MarketState) -> None:
        """Tell the operator, once in a round, that fees have outgrown the account."""
        if state.round == self._warned_round:
            return
        try:
            self._check_ether()
        except Refused as error:
            _log.warning("%s", error)
            self._warned_round = state.round

    def _next_polynomial(self, seat: int, entry: Entry) -> int:
        """The first polynomial that is not answered; -1 if nothing is to be answered any more."""
        accusation = self._ledger.accusation(seat)
        return accusation.answered_polynomials if accusation.digest == entry.digest else -1

    def _time_out(self, state: MarketState, seat: int) -> None:
        """Call the timeout of a late round; each member waits one look longer than the one before it on the roster, so that one pays."""
        if (self._ledger.now() if self._now is None else self._now) <= state.settle_by:
            return
        place = member_place([self._ledger.group_seats(number) for number in bits_of(state.groups)], seat)
        if place is not None and self._is_its_turn(("timeout", state.round), place):
            _log.info("time out round %d", state.round)
            self._ledger.timeout(state.round)

    def _draw(self, state: MarketState, seat: int) -> None:
        """Draw groups that the model owner is late to draw, while the block's hash is in history; one member pays, as for a timeout."""
        late = self._ledger.block_number - state.draw_block - DRAW_PATIENCE_BLOCKS
        if not state.members >> seat & 1 or not 0 < late <= HISTORY_BLOCKS - DRAW_PATIENCE_BLOCKS:
            return
        if self._is_its_turn(("draw", state.epoch), (state.members & ((1 << seat) - 1)).bit_count()):
            _log.info("draw the groups of epoch %d", state.epoch)
            self._ledger.draw()

    def _is_its_turn(self, what: tuple[str, int], place: int) -> bool:
        """Whether those before this data owner have had a look's time each since it first saw that something was late."""
        if self._late_since is None or self._late_since[0] != what:
            self._late_since = (what, self._clock.now())
        return self._clock.now() - self._late_since[1] >= place * self._poll_seconds

    def _attempt(self, what: str, act: Callable[[], T]) -> T | None:
        try:
            return act()
        except LedgerError as error:
            _log.warning("the market refused to %s: %s", what, error)
        except OmnilyticsError as error:
            _log.error("failed to %s: %s: %s", what, type(error).__name__, error)
        except Exception:
            _log.exception("failed to %s", what)
        self._failed = True
        return None


def _blobs(entry: Entry, first: int, most: int) -> tuple[bytes, ...]:
    """As many of an entry's polynomials from `first` on as one transaction takes."""
    starts = range(BLOB_BYTES * first, min(BLOB_BYTES * (first + most), len(entry.vector)), BLOB_BYTES)
    return tuple(entry.vector[start : start + BLOB_BYTES] for start in starts)
