"""A fault in proof, market or chain never keeps an opened round from being settled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.crypto.statement import (
    Statement,
    Verdict,
    VerificationBadPoint,
    VerificationWrongOpening,
)
from omnilytics_flwr.errors import BlobsMissing, LedgerError, NotFunded, SettlementRefused, ToolMissing, TransactionLost, Unreachable
from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.market.refusals import BadSignature, Unresolved
from omnilytics_flwr.model_owner.decision import Decision
from omnilytics_flwr.model_owner.patient_ledger import PATIENCE_SECONDS, patient
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.model_owner.conftest import Faulty, Play, addresses, failing, make_play
from tests.oracle import SumcheckVerification
from tests.support.builders import STRANGER

GONE = Unreachable("no answer; expected one; wait")
POOR = NotFunded("no ether; expected some; send it")


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
        decision = play.keeper.prove()
        try:
            return play.keeper.settle(decision, None), decision, refused
        except SettlementRefused:
            continue
    raise AssertionError("never settled")


def test_refused_signature_waives_its_group_alone(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    culprit = play.groups()[3][1]
    refusal = BadSignature(play.scene.market.owner_record(play.owners[culprit].address).seat, play.owners[culprit].address)
    play.scene.market.verification = Grudging(lambda position: refusal, 3)
    report, _, refused = settle_somehow(play)
    assert (refused, report.waived, len(report.accepted)) == (1, (3,), 4)
    assert set(report.paid) == addresses(play.owners)


def test_settlement_while_an_accused_may_still_answer_is_made_again_and_waives_nobody(play: Play) -> None:
    """The keeper's clock may be ahead of the last block, by which the accusation has not lapsed."""
    play.keep(faults={"settle": failing(Unresolved(1, play.scene.world.timestamp), times=2)})
    report, _, refused = settle_somehow(play)
    assert (refused, report.waived) == (2, ())


@pytest.mark.parametrize("refusal", [VerificationWrongOpening(), LedgerError("the contract refused: no reason")])
def test_refusal_that_names_no_group_waives_all_and_pays_everybody(tmp_path: Path, refusal: LedgerError) -> None:
    play = make_play(tmp_path, verification=Grudging(lambda position: refusal, 0, 1, 2, 3, 4))
    report, decision, refused = settle_somehow(play)
    assert (refused, report.waived, decision.mean) == (1, (0, 1, 2, 3, 4), None)
    assert set(report.paid) == addresses(play.owners)
    assert play.scene.surplus_wei() == 0


def test_points_that_the_market_refuses_only_when_settling_waive_their_group(tmp_path: Path) -> None:
    """The chain did not answer when the delivery was checked; asked again, it says which points it does not like."""
    play = make_play(tmp_path, verification=Grudging(lambda position: VerificationBadPoint(), 2))
    culprit = play.groups()[2][0]

    def check_points(method: Callable[[bytes], bool], points: bytes) -> bool:
        if play.keeper.live.missing():
            raise GONE
        return points != play.keeper.live.deliveries[play.owners[culprit].address].points

    play.keep(wait=lambda seconds: None, faults={"check_points": check_points})
    report, _, refused = settle_somehow(play)
    assert (refused, report.waived, len(report.accepted)) == (1, (2,), 4)


def test_market_that_refuses_even_to_pay_everybody_says_why(tmp_path: Path) -> None:
    class Closed(SumcheckVerification):
        def verify(self, statement: Statement, settlement: bytes) -> Verdict:
            raise VerificationWrongOpening

    with pytest.raises(VerificationWrongOpening):
        settle_somehow(make_play(tmp_path, verification=Closed()))


@pytest.mark.parametrize("faster", [False, True], ids=["by the keeper", "by somebody else"])
def test_round_that_is_too_late_to_settle_is_timed_out_and_pays_everybody(play: Play, faster: bool) -> None:
    def timeout(method: Callable[[int], Any], number: int) -> Any:
        if faster:
            play.scene.ledger(STRANGER).timeout(number)
        return method(number)

    play.keep(faults={"timeout": timeout})
    play.open_and_deliver(play.anchor_and_commit())
    decision = play.keeper.prove()
    play.scene.world.timestamp = play.scene.state.settle_by + 1
    report = play.keeper.settle(decision, None)
    assert (report.settled, report.timed_out) == (False, True)
    assert [receipt.event for receipt in report.receipts] == ["anchor", "open", "timeout"][: 2 if faster else 3]
    assert set(report.paid) == addresses(play.owners)
    assert not play.keeper.is_live
    assert play.scene.surplus_wei() == 0


# A chain that fails


@pytest.mark.parametrize("failure", [GONE, TransactionLost("0x00", 1.0)], ids=["unreachable", "lost"])
def test_chain_that_fails_now_and_then_is_asked_again(play: Play, failure: Exception) -> None:
    public = [name for name in dir(ModelOwnerLedger) if not name.startswith("_") and name not in ("terms", "scheme")]
    methods = [name for name in public if callable(getattr(ModelOwnerLedger, name))]
    play.keep(wait=lambda seconds: None, faults={name: failing(failure, times=2) for name in methods})
    report, decision, task = play.run()
    assert report.settled
    assert len(report.accepted) == 4
    play.check_learnt(report, decision, task)


@pytest.mark.parametrize(
    ("failure", "seconds"), [(GONE, PATIENCE_SECONDS), (POOR, 0), (ToolMissing("no tool"), 0), (BlobsMissing(1, 2, 3, 4), 0)]
)
def test_chain_is_asked_again_for_a_while_unless_that_is_hopeless(play: Play, failure: Exception, seconds: float) -> None:
    waits: list[float] = []
    ledger: Any = Faulty(play.scene.ledger(), {"state": failing(failure)})
    with pytest.raises(type(failure)):
        patient(ledger, Clock(waits.append)).state()
    assert sum(waits) == seconds


def test_open_round_waits_for_its_account_to_be_topped_up(play: Play) -> None:
    trouble = play.keep(faults={"settle": failing(POOR, times=5)})
    report, _, _ = play.run()
    assert report.settled
    assert len(trouble) == 1, "each reason is told once"
    assert "cannot be settled yet" in trouble[0]


def test_account_that_is_never_topped_up_is_waited_for_as_long_as_there_is_time(play: Play) -> None:
    play.keep(faults={"settle": failing(POOR)})
    with pytest.raises(NotFunded):
        play.run()
    assert play.scene.world.timestamp >= play.scene.state.settle_by
