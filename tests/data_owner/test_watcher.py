"""The watcher: answers, times out, claims and withdraws by itself, from chain and journal alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.data_owner.watcher import DRAW_PATIENCE_BLOCKS, REST_SECONDS, Watcher
from omnilytics_flwr.errors import NotFunded, Refused, Unreachable
from omnilytics_flwr.market.dispute import answer_cost_wei, refund_wei
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.messages import Commitment
from omnilytics_flwr.market.roster import bitmap_of
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import ZERO_ADDRESS
from tests.data_owner.owners import anchor, lone_owner, make_wallet, open_with
from tests.oracle import MemoryLedger
from tests.support.builders import STRANGER, WEALTH_WEI, DictatedVerification, address_of, dictate, equal_distances

FEE_WEI = 77
WEIGHTS = 60_000
WIDE: dict[str, object] = {"weights": WEIGHTS, "answer_seconds": 1800, "prove_seconds": 300, "accuse_fee_wei": FEE_WEI}
"""Vectors of eight polynomials: an answer takes two transactions."""


class Hindered(MemoryLedger):
    """A chain that fails, lags, or on which somebody else answers between a look and the transaction, if told to."""

    error: Exception | None = None
    answer_error: Exception | None = None
    confirmed: MarketState | None = None
    overtaken = False
    most_confirmations = 0

    def state(self, confirmations: int = 0) -> MarketState:
        if self.error is not None:
            raise self.error
        self.most_confirmations = max(self.most_confirmations, confirmations)
        return self.confirmed if confirmations and self.confirmed else super().state()

    def answer(self, round_number: int, seat: int, points: bytes, first: int, blobs: tuple[bytes, ...], delivery: bytes = b"") -> Receipt:
        if self.answer_error is not None:
            raise self.answer_error
        if self.overtaken and first == 0:
            MemoryLedger(self._world, self.address, address_of(STRANGER)).answer(round_number, seat, points, 0, blobs[:3])
        return super().answer(round_number, seat, points, first, blobs, delivery)


class Watched:
    """A market with data owner 0 for real, and what its watcher works with."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.scene, self.owner = lone_owner(folder, verification=DictatedVerification(), **(WIDE | changes))
        self.ledger = Hindered(self.scene.world, self.scene.market.address, self.owner.address)
        self.gas_price_wei = 0
        self.clock = Clock(wait=lambda seconds: None)
        self.digests: tuple[bytes, ...] = ()

    @property
    def seat(self) -> int:
        return self.scene.market.owner_record(self.owner.address).seat

    @property
    def balance_wei(self) -> int:
        return self.scene.world.balances[self.owner.address]

    @property
    def answered(self) -> bool:
        return bool(self.scene.state.answered >> self.seat & 1)

    def watcher(self, ledger: MemoryLedger | None = None, **policy: object) -> Watcher:
        """A new watcher, as a new process would have it."""
        return Watcher(
            ledger=ledger or self.ledger,
            journal=self.owner.journal,
            signer=make_wallet(self.owner.number),
            policy=Policy(**policy),  # type: ignore[arg-type]
            balance_wei=lambda: self.balance_wei,
            gas_price_wei=lambda: self.gas_price_wei,
            enrol_again=lambda: self.owner.agent().enrol_again(),
            tidy=lambda: self.owner.agent().tidy(),
            clock=self.clock,
        )

    def open(self) -> Watched:
        """Open a round with the data owner's commitment."""
        self.digests = open_with(self.scene, self.owner.agent().commit(anchor(self.scene), np.full(WEIGHTS, 0.25)))
        return self

    def settle(self, next_task: bytes = bytes(32)) -> None:
        """Open and settle a round without the data owner's agent."""
        self.scene.open()
        self.scene.settle(next_task=next_task)

    def accuse(self, *seats: int) -> None:
        """Accuse the data owner, or those with these seats."""
        accused = seats or (self.seat,)
        self.scene.ledger().accuse(self.scene.state.round, bitmap_of(accused), self.digests, self.signatures(accused))

    def signatures(self, seats: Sequence[int]) -> tuple[bytes, ...]:
        """Those of some members' commitments in the open round, in the order of the roster."""
        state, roster = self.scene.state, zip(self.scene.seats_of(self.scene.state.groups), self.digests, strict=True)
        signed = {seat: Commitment(state.epoch, state.round, state.task_hash, state.open_by, digest) for seat, digest in roster}
        return tuple(self.scene.sign(seat, commitment) for seat, commitment in signed.items() if seat in seats)

    def settle_open(self) -> None:
        """Settle the open round, all groups alike."""
        state = self.scene.state
        verdict = dictate(self.digests, equal_distances(state.groups.bit_count()))
        self.scene.ledger().settle(state.round, verdict, self.signatures(self.scene.seats_of(state.groups)), 0, bytes(32))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A round that is open with the data owner's vector."""
    return Watched(tmp_path).open()


@pytest.mark.parametrize(("before", "overtaken", "transactions"), [(0, False, 2), (4, False, 1), (0, True, 3)])
def test_accused_answers_with_the_vector_of_the_journal_from_where_another_process_was_killed_or_somebody_overtook_it(
    watched: Watched, before: int, overtaken: bool, transactions: int
) -> None:
    watched.accuse()
    (entry,) = watched.owner.journal.entries()
    if before:
        blobs = tuple(entry.vector[131_072 * i : 131_072 * (i + 1)] for i in range(before))
        watched.scene.ledger(STRANGER).answer(1, watched.seat, entry.points, 0, blobs)
    watched.ledger.overtaken = overtaken
    block = watched.scene.world.number
    for _ in range(2):
        watched.watcher().look()
        assert watched.answered
        assert watched.scene.world.number == block + transactions
    assert watched.scene.ledger().answered_vector(1, watched.seat) == entry.vector


def test_accusation_of_others_is_none_of_its_business(watched: Watched) -> None:
    watched.accuse(*(seat for seat in watched.scene.seats_of(watched.scene.state.groups) if seat != watched.seat))
    before = watched.scene.state
    watched.watcher().look()
    assert watched.scene.state == before


def test_accusation_of_a_digest_not_in_the_journal_is_told_to_the_operator(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.accuse()
    watched.owner.journal.write(replace(watched.owner.journal.entries()[0], digest=b"\1" * 32))
    watched.watcher().look()
    assert not watched.answered
    assert "that this journal has no vector of" in caplog.text


def test_damaged_journal_keeps_nothing_else_from_being_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(tmp_path)
    watched.settle()
    before = watched.balance_wei
    watched.open().accuse()
    (path,) = (watched.owner.folder / "journal").glob("*.entry")
    path.write_bytes(path.read_bytes()[:-1])
    watched.watcher().look()
    assert "failed to answer" in caplog.text
    watched.scene.world.timestamp = watched.scene.state.settle_by + 1
    watched.scene.ledger().timeout(2)
    watched.watcher().look()
    assert watched.balance_wei == before + 1_000, "the first round's reward"


def test_accusation_is_answered_once_it_is_confirmed(watched: Watched) -> None:
    watched.ledger.confirmed = watched.scene.state
    watched.accuse()
    for answered in (False, True):
        watched.watcher(confirmations=2).look()
        assert watched.answered is answered
        watched.ledger.confirmed = watched.scene.state


@pytest.mark.parametrize(("wanted", "waited_for"), [(0, 0), (1, 1), (5, 1)])
def test_accusation_is_answered_after_one_block_at_most_whatever_the_policy_wants_of_openings(
    watched: Watched, wanted: int, waited_for: int
) -> None:
    watched.accuse()
    watched.watcher(confirmations=wanted).look()
    assert watched.answered
    assert watched.ledger.most_confirmations == waited_for


def test_no_block_is_waited_for_in_the_second_half_of_the_time_to_answer(watched: Watched) -> None:
    """An answer in vain costs a fee, a missed one the stake: a chain that stands still must not take it."""
    watched.ledger.confirmed = watched.scene.state
    watched.accuse()
    half = watched.scene.state.answer_by - watched.scene.terms.answer_seconds // 2
    for now, answered in ((half, False), (half + 1, True)):
        watched.scene.world.timestamp = now
        watched.watcher(confirmations=5).look()
        assert watched.answered is answered


def test_nothing_is_claimed_while_a_round_is_open_that_may_need_an_answer(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.settle(next_task=b"\7" * 32)
    watched.scene.open()
    before = watched.balance_wei
    watched.watcher().look()
    assert watched.balance_wei == before


def test_settled_round_is_claimed_once_and_an_anchored_one_is_not_claimed_through(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.settle(next_task=b"\7" * 32)
    before = watched.balance_wei
    for _ in range(2):
        watched.watcher().look()
        assert watched.balance_wei == before + 1_000
    assert watched.scene.market.owner_record(watched.owner.address).claimed_through == 1


def test_claim_waits_until_it_is_worth_it(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    before = watched.balance_wei
    for settled in range(1, 4):
        watched.settle()
        watched.watcher(claim_after_wei=2_001).look()
        assert watched.balance_wei == before + (3_000 if settled == 3 else 0)


def test_claim_is_not_made_at_a_loss(tmp_path: Path) -> None:
    """A claim of ten times its fee at present prices; the operator may want less."""
    watched = Watched(tmp_path, token=ZERO_ADDRESS, reward_wei=1_400_000, stake_wei=6_000_000, bond_wei=20, escrow_wei=50_000_000)
    watched.settle()
    for price_wei, policy, claimed in ((3, {}, False), (3, {"claim_after_wei": 1_400_001}, False), (2, {}, True)):
        watched.gas_price_wei, before = price_wei, watched.balance_wei
        watched.watcher(**policy).look()
        assert watched.balance_wei == before + 1_400_000 * claimed
    watched.settle()
    watched.gas_price_wei = 10**9
    watched.watcher(claim_after_wei=1).look()
    assert watched.scene.ledger().claimable_wei(watched.owner.address) == 0


def test_round_that_was_not_settled_is_timed_out_and_pays_after_those_before_it_on_the_roster_had_their_time(watched: Watched) -> None:
    place = watched.scene.seats_of(watched.scene.state.groups).index(watched.seat)
    assert place > 0
    watched.scene.world.timestamp = watched.scene.state.settle_by
    watcher, before = watched.watcher(poll_seconds=10.0), watched.balance_wei
    for seconds_late, stage in ((0, Stage.OPEN), (1, Stage.OPEN), (10 * place - 1, Stage.OPEN), (2, Stage.IDLE)):
        watched.scene.world.timestamp += min(seconds_late, 1)
        watched.clock.wait(seconds_late)
        watcher.look()
        assert watched.scene.state.stage is stage
    watcher.look()
    assert watched.balance_wei == before + 1_000 + 10_007 // 15
    assert not watched.owner.journal.entries()[0].vector, "and the vector is gone"


def test_groups_that_nobody_draws_are_drawn_by_one_member_before_the_draw_lapses(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    scene, world = watched.scene, watched.scene.world
    scene.join()
    scene.ledger().freeze()
    third = scene.ledger(3)
    place = (scene.state.members & ((1 << third.owner_record(third.account).seat) - 1)).bit_count()
    watcher = watched.watcher(third, poll_seconds=10.0)
    assert place == 3
    for blocks_late, seconds, stage in (
        (DRAW_PATIENCE_BLOCKS, 10**6, Stage.FROZEN),
        (DRAW_PATIENCE_BLOCKS + 1, 0, Stage.FROZEN),
        (DRAW_PATIENCE_BLOCKS + 1, 29, Stage.FROZEN),
        (DRAW_PATIENCE_BLOCKS + 1, 1, Stage.IDLE),
    ):
        world.number = scene.state.draw_block + 1 + blocks_late
        watched.clock.wait(seconds)
        watcher.look()
        assert scene.state.stage is stage


def test_draw_that_has_lapsed_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(tmp_path)
    watched.scene.join()
    watched.scene.ledger().freeze()
    watched.scene.world.number = watched.scene.state.draw_block + 8191 + 2
    watched.watcher(poll_seconds=1e-9).look()
    assert watched.scene.state.stage is Stage.FROZEN
    assert "draw" not in caplog.text


def test_timeout_is_not_called_by_who_is_not_on_the_roster(tmp_path: Path) -> None:
    watched = Watched(tmp_path, num_owners=18)
    group = next(g for g in range(6) if watched.scene.market.group_seats(g) >> watched.seat & 1)
    watched.scene.open(watched.scene.all_groups() & ~(1 << group))
    watched.scene.world.timestamp = watched.scene.state.settle_by + 1
    watched.watcher(poll_seconds=1e-6).look()
    assert watched.scene.state.stage is Stage.OPEN


@pytest.mark.parametrize("killed", [False, True], ids=["the same process", "a new one"])
def test_refund_of_an_answer_is_taken_back_after_the_round(watched: Watched, killed: bool) -> None:
    before = watched.balance_wei
    watched.accuse()
    watcher = watched.watcher()
    watcher.look()
    assert watched.balance_wei == before, "in the round nothing is taken out"
    world = watched.scene.world
    refund = refund_wei(watched.scene.terms.polynomials, base_fee_wei=world.base_fee_wei, blob_base_fee_wei=world.blob_base_fee_wei)
    watched.settle_open()
    (watched.watcher() if killed else watcher).look()
    assert watched.balance_wei == before + refund + 1_000


def test_commitment_needs_a_look_at_the_chain_within_the_time(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watcher = watched.watcher(fresh_seconds=30.0)
    with pytest.raises(Refused, match="has not seen the chain for inf s, at most 30 s allowed"):
        watcher.check_ready()
    watcher.look()
    watcher.check_ready()
    watched.clock.wait(31)
    with pytest.raises(Refused, match="has not seen the chain for 31 s"):
        watcher.check_ready()


def test_commitment_needs_ether_for_two_answers(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watcher, terms = watched.watcher(), watched.scene.ledger().terms()
    world = watched.scene.world
    fees = {"base_fee_wei": world.base_fee_wei, "blob_base_fee_wei": world.blob_base_fee_wei}
    cost_wei = answer_cost_wei(terms.polynomials, blobs=watched.scene.ledger().blobs(), **fees)
    watcher.look()
    world.balances[watched.owner.address] = 2 * cost_wei
    watcher.check_ready()
    watched.scene.world.balances[watched.owner.address] -= 1
    with pytest.raises(Refused, match=f"holds {2 * cost_wei - 1} wei, answering accusations may take {2 * cost_wei}"):
        watcher.check_ready()


STRESS_WEI = 100
STRESS_COST_WEI = STRESS_WEI * (8 * 131_072 + 2 * 100_000 + 8 * 16_000) * 6 // 5
"""Of an answer with eight blobs in two transactions, with what a sender adds to an estimate."""


def test_commitment_needs_ether_for_an_answer_at_the_stress_price(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watcher = watched.watcher(stress_price_wei=STRESS_WEI)
    watcher.look()
    watched.scene.world.balances[watched.owner.address] = STRESS_COST_WEI
    watcher.check_ready()
    watched.scene.world.balances[watched.owner.address] -= 1
    with pytest.raises(Refused, match=f"holds {STRESS_COST_WEI - 1} wei, answering accusations may take {STRESS_COST_WEI}"):
        watcher.check_ready()


def test_market_without_accusations_needs_no_ether(tmp_path: Path) -> None:
    watched = Watched(tmp_path, answer_seconds=0)
    watcher = watched.watcher(stress_price_wei=STRESS_WEI)
    watcher.look()
    watched.scene.world.balances[watched.owner.address] = 0
    watcher.check_ready()


def test_ether_is_looked_at_again_while_a_round_is_open_and_told_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watcher = watched.watcher(stress_price_wei=STRESS_WEI)
    watched.scene.world.balances[watched.owner.address] = STRESS_COST_WEI
    watcher.look()
    assert not caplog.records
    watched.scene.world.base_fee_wei = watched.scene.world.blob_base_fee_wei = STRESS_WEI
    watcher.look()
    assert not caplog.records, "not at every look: it is three requests"
    for _ in range(2):
        watched.clock.wait(REST_SECONDS)
        watcher.look()
    assert caplog.text.count("answering accusations may take") == 1


def is_enrolled(watched: Watched) -> bool:
    return bool(watched.scene.state.enrolled >> watched.seat & 1)


def test_data_owner_of_an_epoch_that_has_had_its_rounds_enrols_for_the_next_once(tmp_path: Path) -> None:
    watched = Watched(tmp_path, rounds_per_epoch=1)
    watcher = watched.watcher()
    watcher.look()
    assert not is_enrolled(watched), "there are rounds left"
    watched.settle()
    watcher.look()
    assert is_enrolled(watched)
    joined = watched.scene.world.number
    watcher.look()
    assert watched.scene.world.number == joined


def test_data_owner_that_leaves_or_whose_groups_are_used_up_does_not_enrol_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    leaving = Watched(tmp_path / "leaving", rounds_per_epoch=1)
    leaving.ledger.leave()
    leaving.settle()
    leaving.watcher().look()
    assert not is_enrolled(leaving)
    used_up = Watched(tmp_path / "used-up", rounds_per_epoch=1).open()
    used_up.settle_open()
    watcher = used_up.watcher()
    for _ in range(2):
        watcher._looked_over = None
        watcher.look()
    assert not is_enrolled(used_up)
    assert caplog.text.count("does not enrol for the next by itself: policy: these would be 2 different groups") == 1


@pytest.mark.parametrize("error", [Unreachable("no answer"), ZeroDivisionError("a fault of our own")])
def test_chain_that_fails_is_looked_at_again(watched: Watched, caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    ledger, watcher = watched.ledger, watched.watcher()
    watched.accuse()
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
    watched = Watched(tmp_path)
    with caplog.at_level(logging.INFO):
        watched.watcher(watched.scene.ledger(STRANGER)).look()
    assert not caplog.records
    assert watched.balance_wei == WEALTH_WEI - 5_000


def test_run_looks_until_it_is_stopped(watched: Watched) -> None:
    stop, looks = threading.Event(), []
    watcher = watched.watcher(poll_seconds=0.001)
    watcher._on_seen = lambda state: looks.append(state.round) or (stop.set() if len(looks) == 5 else None)
    watcher.run(stop)
    assert looks == [1] * 5
