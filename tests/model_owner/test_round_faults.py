"""A fault in proof, market or chain never keeps an opened round from being settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.crypto.refusals import (
    VerificationBadPoint,
    VerificationWrongExclusion,
    VerificationWrongOpening,
    VerificationWrongSumcheck,
)
from omnilytics_flwr.crypto.statement import Statement, Verdict
from omnilytics_flwr.errors import LedgerError, NotFunded, SettlementRefused, TransactionLost, Unreachable
from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.market.refusals import TooLate
from omnilytics_flwr.model_owner.decision import Decision, GroupSum, decide
from omnilytics_flwr.model_owner.patient_ledger import PATIENCE_SECONDS, patient
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.model_owner.rounds import Play, addresses, make_play, wild_units
from tests.oracle import SumcheckVerification
from tests.support.builders import STRANGER


class Grudging(SumcheckVerification):
    """A verification with a fault: it refuses every settlement in which one of these roster positions takes part."""

    def __init__(self, refusal: Callable[[int], LedgerError], *positions: int) -> None:
        super().__init__()
        self.refusal, self.positions = refusal, positions

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        for position in self.positions:
            if not statement.is_outside(position):
                raise self.refusal(position)
        return super().verify(statement, settlement)


def settle_somehow(play: Play) -> tuple[RoundReport, Decision, int]:
    """Prove and settle until the market takes it; also how often it refused."""
    play.open_and_deliver(play.anchor_and_commit())
    for refused in range(20):
        proven = play.keeper.prove()
        try:
            return play.keeper.settle(proven, None), proven, refused
        except SettlementRefused:
            continue
    raise AssertionError("never settled")


def grudging_play(folder: Path, refusal: Callable[[int], LedgerError], *positions: int) -> Play:
    return make_play(folder, verification=Grudging(refusal, *positions))


def test_refused_exclusion_waives_its_group_alone(tmp_path: Path) -> None:
    play = grudging_play(tmp_path, VerificationWrongExclusion, 1)
    play.units = {number: wild_units() for number in play.groups()[1]}
    report, _, refused = settle_somehow(play)
    assert refused == 1
    assert report.waived == (1,)
    assert len(report.accepted) == 3
    assert set(report.paid) == addresses(set(play.owners) - set(play.groups()[report.dropped[0]]))


def test_refused_opening_of_an_exclusion_waives_its_group_alone(tmp_path: Path) -> None:
    play = grudging_play(tmp_path, lambda position: VerificationWrongOpening(2), 3)
    play.units = {number: wild_units() for number in play.groups()[3]}
    report, _, refused = settle_somehow(play)
    assert refused == 1
    assert report.waived == (3,)


@pytest.mark.parametrize(
    "refusal", [VerificationWrongSumcheck(), VerificationWrongOpening(0), LedgerError("the contract refused: no reason")]
)
def test_refusal_that_names_no_group_waives_all_and_pays_everybody(tmp_path: Path, refusal: LedgerError) -> None:
    play = grudging_play(tmp_path, lambda position: refusal, 0, 1, 2, 3, 4)
    report, proven, refused = settle_somehow(play)
    assert refused == 1
    assert proven.mean is None
    assert report.waived == (0, 1, 2, 3, 4)
    assert set(report.paid) == addresses(play.owners)
    assert play.scene.surplus_wei() == 0


def test_points_that_the_market_refuses_only_when_settling_waive_their_group(tmp_path: Path) -> None:
    """The chain did not answer when the delivery was checked; asked again, it says which points it does not like."""
    play = grudging_play(tmp_path, lambda position: VerificationBadPoint(), 2)
    culprit = play.groups()[2][0]
    bad_points: list[bytes] = []

    class Flaky:
        def __init__(self, ledger: ModelOwnerLedger) -> None:
            self.ledger = ledger

        def __getattr__(self, name: str) -> Any:
            return getattr(self.ledger, name)

        def check_points(self, points: bytes) -> bool:
            if play.keeper.missing_owners():
                raise Unreachable("the node is gone; expected an answer; wait")
            return points not in bad_points

    def remember(number: int, delivery: Any) -> Any:
        if number == culprit:
            bad_points.append(delivery.points)
        return delivery

    play.keeper = RoundKeeper(cast("ModelOwnerLedger", Flaky(play.scene.ledger())), clock=Clock(lambda seconds: None))
    play.tampered = remember
    report, _, refused = settle_somehow(play)
    assert refused == 1
    assert report.waived == (2,)
    assert len(report.accepted) == 3


def test_market_that_refuses_even_to_pay_everybody_says_why(tmp_path: Path) -> None:
    class Closed(SumcheckVerification):
        def verify(self, statement: Statement, settlement: bytes) -> Verdict:
            raise VerificationWrongSumcheck

    play = make_play(tmp_path, verification=Closed())
    with pytest.raises(VerificationWrongSumcheck):
        settle_somehow(play)


def test_round_that_is_too_late_to_settle_is_timed_out_and_pays_everybody(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    play.open_and_deliver(play.anchor_and_commit())
    proven = play.keeper.prove()
    play.scene.world.timestamp = play.scene.state.settle_by + 1
    report = play.keeper.settle(proven, None)
    assert (report.settled, report.timed_out) == (False, True)
    assert [receipt.event for receipt in report.receipts] == ["anchor", "open", "timeout"]
    assert set(report.paid) == addresses(play.owners)
    assert not play.keeper.is_live
    assert play.scene.surplus_wei() == 0


def test_round_that_somebody_else_has_timed_out_is_reported_likewise(tmp_path: Path) -> None:
    class Slow:
        """The timeout of a stranger comes in between."""

        def __init__(self, ledger: ModelOwnerLedger) -> None:
            self.ledger = ledger

        def __getattr__(self, name: str) -> Any:
            return getattr(self.ledger, name)

        def timeout(self, round_number: int) -> Any:
            play.scene.ledger(STRANGER).timeout(round_number)
            return self.ledger.timeout(round_number)

    play = make_play(tmp_path)
    play.keeper = RoundKeeper(cast("ModelOwnerLedger", Slow(play.scene.ledger())), clock=Clock(lambda seconds: None))
    play.open_and_deliver(play.anchor_and_commit())
    proven = play.keeper.prove()
    play.scene.world.timestamp = play.scene.state.settle_by + 1
    with pytest.raises(TooLate):
        play.scene.ledger().settle(1, b"", 0, bytes(32))
    assert play.keeper.settle(proven, None).timed_out


# Proofs that cannot be made


def groups_of(play: Play) -> tuple[list[GroupSum], bytes]:
    play.open_and_deliver(play.anchor_and_commit())
    live = play.keeper._live
    assert live is not None
    return live.group_sums(), live.roster_hash()


def test_group_that_cannot_be_proven_is_waived_alone(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    groups, roster_hash = groups_of(play)
    trouble: list[str] = []
    off_curve = bytes(127) + b"\1"
    broken = [replace(group, rows=(off_curve, *group.rows[1:])) if place == 3 else group for place, group in enumerate(groups)]
    verdict = decide(play.scene.terms, bytes(32), roster_hash, broken, on_trouble=trouble.append)
    assert verdict.waived == (3,)
    assert len(verdict.accepted) == 3
    assert len(trouble) == 1


def test_round_of_which_nothing_can_be_proven_is_waived_as_a_whole(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    groups, roster_hash = groups_of(play)
    short = [replace(group, rows=group.rows[:-1]) for group in groups]
    verdict = decide(play.scene.terms, bytes(32), roster_hash, short[:1] + groups[1:])
    assert verdict.waived == (0,)
    with pytest.raises(Exception, match="list of points"):  # not even the digests are there: this is no roster
        decide(play.scene.terms, bytes(32), roster_hash, [replace(group, rows=(), digests=()) for group in groups])


# A chain that fails


class Failing:
    """A ledger whose every method fails so many times in a row before it answers."""

    def __init__(self, ledger: ModelOwnerLedger, failure: Exception, times: int) -> None:
        self.ledger, self.failure, self.times = ledger, failure, times
        self.failures: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.ledger, name)
        if not callable(value) or name == "terms":
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            self.failures[name] = self.failures.get(name, 0) + 1
            if self.failures[name] % (self.times + 1):
                raise self.failure
            return value(*arguments, **options)

        return call


@pytest.mark.parametrize(
    "failure", [Unreachable("no answer; expected one; wait"), TransactionLost("0x00", 1.0)], ids=["unreachable", "lost"]
)
def test_chain_that_fails_now_and_then_is_asked_again(tmp_path: Path, failure: Exception) -> None:
    play = make_play(tmp_path)
    play.keeper = RoundKeeper(cast("ModelOwnerLedger", Failing(play.scene.ledger(), failure, 2)), clock=Clock(lambda seconds: None))
    report, proven, task = play.run()
    assert report.settled
    assert len(report.accepted) == 4
    np.testing.assert_allclose(proven.mean, play.mean_of(play.accepted_numbers(report), task), rtol=0, atol=1e-12)


def test_chain_that_stays_away_is_given_up_after_a_while(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    waits: list[float] = []
    ledger = patient(
        cast("ModelOwnerLedger", Failing(play.scene.ledger(), Unreachable("no answer; expected one; wait"), 10**9)),
        Clock(waits.append),
    )
    with pytest.raises(Unreachable):
        ledger.state()
    assert sum(waits) == PATIENCE_SECONDS


class Poor:
    """A ledger whose account cannot pay for settling the first times it is asked to."""

    def __init__(self, ledger: ModelOwnerLedger, times: int) -> None:
        self._ledger, self._times = ledger, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def settle(self, *arguments: Any) -> Any:
        if self._times:
            self._times -= 1
            raise NotFunded("no ether; expected some; send it")
        return self._ledger.settle(*arguments)


def test_open_round_waits_for_its_account_to_be_topped_up(tmp_path: Path) -> None:
    play, trouble = make_play(tmp_path), list[str]()
    play.keeper = RoundKeeper(
        cast("ModelOwnerLedger", Poor(play.scene.ledger(), 5)), clock=Clock(play.pass_time()), on_trouble=trouble.append
    )
    report, _, _ = play.run()
    assert report.settled
    assert [sentence for sentence in trouble if "cannot be settled yet" in sentence] == trouble
    assert len(trouble) == 1, "each reason is told once"


def test_account_that_is_never_topped_up_is_waited_for_as_long_as_there_is_time(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    play.keeper = RoundKeeper(cast("ModelOwnerLedger", Poor(play.scene.ledger(), 10**9)), clock=Clock(play.pass_time()))
    with pytest.raises(NotFunded):
        play.run()
    assert play.scene.world.timestamp >= play.scene.state.settle_by


def test_trouble_that_lasts_is_not_asked_about_again(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    failing = Failing(play.scene.ledger(), NotFunded("no ether; expected some; send it"), 10**9)
    with pytest.raises(NotFunded):
        patient(cast("ModelOwnerLedger", failing), Clock(lambda seconds: None)).state()
    assert failing.failures == {"state": 1}
