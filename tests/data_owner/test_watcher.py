"""The watcher: answers, times out, claims and withdraws by itself, from chain and journal alone."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.data_owner.watcher import Watcher
from omnilytics_flwr.errors import NotFunded, Refused, Unreachable
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.roster import bitmap_of
from omnilytics_flwr.market.stage import Stage
from tests.data_owner.owners import Owner, anchor, make_owners_scene, open_with
from tests.oracle import MemoryLedger
from tests.support.builders import STRANGER, WEALTH_WEI, DictatedVerification, Scene, address_of

WEIGHTS = 60_000
"""Eight polynomials: an answer takes two transactions."""
FEE_WEI = 77
WIDE: dict[str, object] = {"weights": WEIGHTS, "answer_seconds": 600, "prove_seconds": 300, "accuse_fee_wei": FEE_WEI}


@dataclass
class Watched:
    """A market with data owner 0 for real, and what its watcher works with."""

    scene: Scene
    owner: Owner
    digests: tuple[bytes, ...] = ()

    @property
    def seat(self) -> int:
        return self.scene.market.owner_record(self.owner.address).seat

    @property
    def balance_wei(self) -> int:
        return self.scene.world.balances[self.owner.address]

    def watcher(self, ledger: MemoryLedger | None = None, clock: Clock | None = None, **policy: object) -> Watcher:
        """A new watcher, as a new process would have it."""
        return Watcher(
            ledger=ledger or self.scene.ledger(0),
            journal=self.owner.journal,
            policy=Policy(**policy),  # type: ignore[arg-type]
            balance_wei=lambda: self.balance_wei,
            tidy=lambda: self.owner.agent().tidy(),
            clock=clock,
        )

    def open(self) -> None:
        """A round that is open with the data owner's commitment."""
        update = np.random.default_rng(0).normal(0.0, 0.2, self.scene.terms.weights)
        commitment = self.owner.agent().commit(anchor(self.scene), update)
        self.digests = open_with(self.scene, commitment)

    def accuse(self, *seats: int) -> None:
        self.scene.ledger().accuse(self.scene.state.round, bitmap_of(seats), self.digests)

    @property
    def answered(self) -> bool:
        return bool(self.scene.state.answered >> self.seat & 1)


def make_watched(folder: Path, **changes: object) -> Watched:
    scene, owners = make_owners_scene(folder, real=[0], verification=DictatedVerification(), **(WIDE | changes))  # type: ignore[arg-type]
    return Watched(scene, owners[0])


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A round that is open with the data owner's vector of eight polynomials."""
    made = make_watched(tmp_path)
    made.open()
    return made


def test_accused_answers_in_two_transactions_with_the_vector_of_the_journal(watched: Watched) -> None:
    watched.accuse(watched.seat)
    (entry,) = watched.owner.journal.entries()
    block = watched.scene.world.number
    watched.watcher().look()
    assert watched.answered
    assert watched.scene.world.number == block + 2
    assert watched.scene.ledger().answered_vector(1, watched.seat) == entry.vector
    state = watched.scene.state
    watched.watcher().look()
    assert watched.scene.state == state


def test_answer_goes_on_where_another_process_was_killed(watched: Watched) -> None:
    watched.accuse(watched.seat)
    (entry,) = watched.owner.journal.entries()
    blobs = tuple(entry.vector[131_072 * i : 131_072 * (i + 1)] for i in range(4))
    watched.scene.ledger(STRANGER).answer(1, watched.seat, entry.points, 0, blobs)
    block = watched.scene.world.number
    watched.watcher().look()
    assert watched.answered
    assert watched.scene.world.number == block + 1


class Overtaken(MemoryLedger):
    """A ledger on which somebody else answers between a look and the transaction."""

    def answer(self, round_number: int, seat: int, points: bytes, first: int, blobs: tuple[bytes, ...]) -> Receipt:
        if first == 0:
            MemoryLedger(self._world, self.address, address_of(STRANGER)).answer(round_number, seat, points, 0, blobs[:3])
        return super().answer(round_number, seat, points, first, blobs)


def test_answer_that_was_overtaken_goes_on_from_there(watched: Watched) -> None:
    watched.accuse(watched.seat)
    watched.watcher(Overtaken(watched.scene.world, watched.scene.market.address, watched.owner.address)).look()
    assert watched.answered


def test_accusation_of_others_is_none_of_its_business(watched: Watched) -> None:
    others = [seat for seat in watched.scene.seats_of(watched.scene.state.groups) if seat != watched.seat]
    watched.accuse(*others)
    before = watched.scene.state
    watched.watcher().look()
    assert watched.scene.state == before


def test_accusation_of_a_digest_that_is_not_in_the_journal_is_told_to_the_operator(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.accuse(watched.seat)
    (entry,) = watched.owner.journal.entries()
    watched.owner.journal.write(replace(entry, digest=b"\1" * 32))
    watched.watcher().look()
    assert not watched.answered
    assert "that this journal has no vector of" in caplog.text


def test_damaged_journal_keeps_nothing_else_from_being_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watched = make_watched(tmp_path)
    watched.scene.open()
    watched.scene.settle()
    watched.open()
    watched.accuse(watched.seat)
    (path,) = (watched.owner.folder / "journal").glob("*.entry")
    path.write_bytes(path.read_bytes()[:-1])
    before = watched.balance_wei
    watched.watcher().look()
    assert "failed to answer" in caplog.text
    assert watched.balance_wei == before + 1_000, "the first round's reward"


class Slow(MemoryLedger):
    """A chain on which an accusation is seen at once, and confirmed later."""

    confirmed: MarketState

    def state(self, confirmations: int = 0) -> MarketState:
        return super().state() if not confirmations else self.confirmed


def test_accusation_is_answered_once_it_is_confirmed(watched: Watched) -> None:
    ledger = Slow(watched.scene.world, watched.scene.market.address, watched.owner.address)
    ledger.confirmed = watched.scene.state
    watched.accuse(watched.seat)
    watcher = watched.watcher(ledger, confirmations=2)
    watcher.look()
    assert not watched.answered
    ledger.confirmed = watched.scene.state
    watcher.look()
    assert watched.answered


def test_settled_round_is_claimed_and_once(tmp_path: Path) -> None:
    watched = make_watched(tmp_path)
    watched.scene.open()
    watched.scene.settle()
    before = watched.balance_wei
    for _ in range(2):
        watched.watcher().look()
        assert watched.balance_wei == before + 1_000
    assert watched.scene.market.owner_record(watched.owner.address).claimed_through == 1


def test_claim_waits_until_it_is_worth_it(tmp_path: Path) -> None:
    watched = make_watched(tmp_path)
    before = watched.balance_wei
    for settled in range(1, 4):
        watched.scene.open()
        watched.scene.settle()
        watched.watcher(claim_after_wei=2_001).look()
        assert watched.balance_wei == before + (3_000 if settled == 3 else 0)


def test_open_round_is_not_claimed_through(tmp_path: Path) -> None:
    watched = make_watched(tmp_path)
    watched.scene.open()
    watched.scene.settle(next_task=b"\7" * 32)
    watched.scene.open()
    watched.watcher().look()
    assert watched.scene.market.owner_record(watched.owner.address).claimed_through == 1


def test_round_that_was_not_settled_is_timed_out_and_pays(watched: Watched) -> None:
    watched.scene.world.timestamp = watched.scene.state.settle_by
    watcher = watched.watcher(poll_seconds=1e-6)
    watcher.look()
    assert watched.scene.state.stage is Stage.OPEN
    watched.scene.world.timestamp += 1
    before = watched.balance_wei
    for _ in range(3):
        watcher.look()
    assert watched.scene.state.stage is Stage.IDLE
    assert watched.balance_wei == before + 1_000 + 10_007 // 15
    assert not watched.owner.journal.entries()[0].vector, "and the vector is gone"


def test_timeout_is_left_to_those_before_it_on_the_roster_for_a_while(watched: Watched) -> None:
    watched.scene.world.timestamp = watched.scene.state.settle_by + 1
    place = watched.scene.seats_of(watched.scene.state.groups).index(watched.seat)
    patient = watched.watcher(poll_seconds=3600.0)
    for _ in range(3):
        patient.look()
    assert (watched.scene.state.stage is Stage.OPEN) == (place > 0)


def test_timeout_is_not_called_by_who_is_not_on_the_roster(tmp_path: Path) -> None:
    watched = make_watched(tmp_path, num_owners=18)
    group = next(g for g in range(6) if watched.scene.market.group_seats(g) >> watched.seat & 1)
    watched.scene.open(watched.scene.all_groups() & ~(1 << group))
    watched.scene.world.timestamp = watched.scene.state.settle_by + 1
    watched.watcher(poll_seconds=1e-6).look()
    assert watched.scene.state.stage is Stage.OPEN


def test_fee_and_deposit_of_a_false_accusation_are_taken_back_after_the_round(watched: Watched) -> None:
    before = watched.balance_wei
    watched.accuse(watched.seat)
    watcher = watched.watcher()
    watcher.look()
    assert watched.balance_wei == before, "in the round nothing is taken out"
    deposit = -(-5 * watched.scene.ledger().answer_cost_wei() // 4)
    watched.scene.settle()
    watcher.look()
    assert watched.balance_wei == before + FEE_WEI + deposit + 1_000
    assert watched.scene.state.disputes_wei == 0


def test_new_process_takes_back_what_was_freed_before_it(watched: Watched) -> None:
    watched.accuse(watched.seat)
    watched.watcher().look()
    watched.scene.settle()
    before = watched.balance_wei
    watched.watcher().look()
    assert watched.balance_wei > before + 1_000
    assert watched.scene.state.disputes_wei == 0


def test_commitment_needs_a_look_at_the_chain_within_the_time(tmp_path: Path) -> None:
    clock = Clock(wait=lambda seconds: None)
    watcher = make_watched(tmp_path).watcher(clock=clock, fresh_seconds=30.0)
    with pytest.raises(Refused, match="has not seen the chain for inf s, at most 30 s allowed"):
        watcher.check_ready()
    watcher.look()
    watcher.check_ready()
    clock.wait(31)
    with pytest.raises(Refused, match="has not seen the chain for 31 s"):
        watcher.check_ready()


def test_commitment_needs_ether_for_two_answers(tmp_path: Path) -> None:
    watched = make_watched(tmp_path)
    watcher = watched.watcher()
    watcher.look()
    cost = watched.scene.ledger().answer_cost_wei()
    watched.scene.world.balances[watched.owner.address] = 2 * cost
    watcher.check_ready()
    watched.scene.world.balances[watched.owner.address] = 2 * cost - 1
    with pytest.raises(Refused, match=f"holds {2 * cost - 1} wei, answering accusations may take {2 * cost}"):
        watcher.check_ready()


class Broken(MemoryLedger):
    """A chain that cannot be reached, or whose transactions fail, until it is mended."""

    error: Exception | None = None
    answer_error: Exception | None = None

    def state(self, confirmations: int = 0) -> MarketState:
        if self.error is not None:
            raise self.error
        return super().state()

    def answer(self, round_number: int, seat: int, points: bytes, first: int, blobs: tuple[bytes, ...]) -> Receipt:
        if self.answer_error is not None:
            raise self.answer_error
        return super().answer(round_number, seat, points, first, blobs)


@pytest.mark.parametrize("error", [Unreachable("no answer"), ZeroDivisionError("a fault of our own")])
def test_chain_that_fails_is_looked_at_again(watched: Watched, caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    ledger = Broken(watched.scene.world, watched.scene.market.address, watched.owner.address)
    watcher = watched.watcher(ledger)
    watched.accuse(watched.seat)
    ledger.error = error
    watcher.look()
    assert str(error) in caplog.text
    with pytest.raises(Refused, match="has not seen the chain"):
        watcher.check_ready()
    ledger.error, ledger.answer_error = None, NotFunded("no ether")
    watcher.look()
    assert not watched.answered
    assert "failed to answer: NotFunded: no ether" in caplog.text
    ledger.answer_error = None
    watcher.look()
    assert watched.answered


def test_data_owner_that_has_no_seat_does_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watched = make_watched(tmp_path)
    ledger = watched.scene.ledger(STRANGER)
    with caplog.at_level(logging.INFO):
        watched.watcher(ledger).look()
    assert not caplog.records
    assert watched.balance_wei == WEALTH_WEI - 5_000


def test_run_looks_until_it_is_stopped(watched: Watched) -> None:
    stop, looks = threading.Event(), []
    watcher = watched.watcher(poll_seconds=0.001)
    watcher._on_seen = lambda state: looks.append(state.round) or (stop.set() if len(looks) == 5 else None)
    watcher.run(stop)
    assert looks == [1] * 5
