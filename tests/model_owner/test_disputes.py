"""Who does not deliver is accused: those who answer take part, the stake of those who do not pays their group, and every book balances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.errors import BlobsMissing, TermsError, Unreachable
from omnilytics_flwr.market.dispute import accuse_by
from omnilytics_flwr.market.refusals import Underpaid
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.model_owner.disputes import ACCUSE_MARGIN_SECONDS
from omnilytics_flwr.model_owner.round_keeper import Missing
from omnilytics_flwr.model_owner.round_report import RoundReport
from omnilytics_flwr.model_owner.run_directory import RunDirectory
from tests.model_owner.conftest import NEXT, Play, addresses, failing, make_play
from tests.support.builders import MODEL_OWNER, WEALTH_WEI, address_of

FEE_WEI = 77
GONE = Unreachable("the node is gone; expected an answer; check it")


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A market in which data owner 6 does not deliver."""
    play = make_play(tmp_path, accuse_fee_wei=FEE_WEI)
    play.lost = {6}
    return play


def accusing(play: Play, *answering: int, missing: Missing = "accuse", **options: Any) -> list[str]:
    return play.keep(*answering, missing=missing, **options)


def events(report: RoundReport) -> list[str]:
    return [receipt.event for receipt in report.receipts]


def test_accused_that_answers_takes_part_and_is_refunded(play: Play) -> None:
    accusing(play, 6)
    report, decision, task = play.run(NEXT)
    assert events(report) == ["anchor", "open", "accuse", "settle"]
    assert (report.accused, report.answered) == ((address_of(6),), (address_of(6),))
    assert (report.void, report.waived, len(report.accepted)) == ((), (), 4)
    play.check_learnt(report, decision, task)
    before = play.scene.world.balances[address_of(6)]
    play.scene.ledger(6).withdraw(address_of(6))
    assert play.scene.world.balances[address_of(6)] > before
    play.check_learnt(report, decision, task)


def test_accused_that_is_silent_voids_its_group_and_its_stake_pays_the_others(play: Play) -> None:
    accusing(play)
    group = play.groups()[play.position_of(6)]
    report, decision, task = play.run(NEXT)
    assert (report.void, report.waived, report.answered) == ((play.position_of(6),), (), ())
    assert (len(report.accepted), report.tolerated) == (4, 0)
    assert set(report.paid) & addresses(group) == addresses(set(group) - {6})
    assert play.scene.state.slashed == play.seat_bit(6)
    assert play.claimable()[6] == 0
    play.scene.ledger().withdraw(address_of(MODEL_OWNER))
    spent_wei = WEALTH_WEI - play.scene.world.balances[address_of(MODEL_OWNER)]
    assert spent_wei == 200_000, "fee and deposit are the model owner's again; only the escrow is gone"
    play.check_learnt(report, decision, task)


def test_of_several_accused_each_gets_what_it_did(play: Play) -> None:
    culprits = answers, silent, also_silent = [play.groups()[position][0] for position in (0, 1, 3)]
    accusing(play, answers)
    play.lost = set(culprits)
    report, decision, task = play.run(NEXT)
    assert set(report.accused) == addresses(culprits)
    assert (report.answered, report.void) == ((address_of(answers),), (1, 3))
    assert play.scene.state.slashed == play.seat_bit(silent) | play.seat_bit(also_silent)
    assert not set(report.paid) & addresses([silent, also_silent])
    play.check_learnt(report, decision, task)


def test_everybody_lost_and_silent_settles_with_nobody_taking_part(play: Play) -> None:
    accusing(play)
    play.lost = set(play.owners)
    report, decision, task = play.run()
    assert (decision.mean, report.void, report.paid) == (None, (0, 1, 2, 3, 4), ())
    assert play.scene.state.stage is Stage.IDLE
    play.check_learnt(report, decision, task)


def test_wrong_vector_is_accused_and_may_be_answered_with_the_right_one(play: Play) -> None:
    accusing(play, 6)
    play.lost, other = set(), FieldVector.zeros(4096).to_bytes()
    play.tampered = lambda number, delivery: replace(delivery, vector=other) if number == 6 else delivery
    report, decision, task = play.run()
    assert (report.answered, report.void, report.waived) == ((address_of(6),), (), ())
    play.check_learnt(report, decision, task)


def test_waiving_keeper_accuses_nobody(play: Play) -> None:
    report, _, _ = play.run()
    assert (report.accused, report.waived) == ((), (play.position_of(6),))


# Whatever goes wrong, the group is waived and the round settles


@pytest.mark.parametrize(("late", "accused"), [(0, True), (1, False)])
def test_too_late_to_accuse_waives(play: Play, late: int, accused: bool) -> None:
    trouble = accusing(play, 6)
    task = play.anchor_and_commit()
    play.open_and_deliver(task)
    play.scene.world.timestamp = accuse_by(play.scene.state.settle_by, play.scene.terms) - ACCUSE_MARGIN_SECONDS + late
    decision = play.keeper.prove()
    report = play.keeper.settle(decision, None)
    assert bool(report.accused) == accused
    assert report.waived == (() if accused else (play.position_of(6),))
    assert any("too late to accuse" in sentence for sentence in trouble) != accused
    play.check_learnt(report, decision, task)


def test_accusation_that_cannot_be_paid_waives(play: Play) -> None:
    trouble = accusing(play)
    play.open_and_deliver(play.anchor_and_commit())
    play.scene.world.balances[address_of(MODEL_OWNER)] = 1
    report = play.keeper.settle(play.keeper.prove(), None)
    assert (report.waived, len(report.paid)) == ((play.position_of(6),), 15)
    assert any("nobody could be accused" in sentence for sentence in trouble)


def test_chain_that_takes_no_accusation_waives(play: Play) -> None:
    accusing(play, faults={"accuse": failing(GONE)})
    report, _, _ = play.run()
    assert report.waived == (play.position_of(6),)
    assert events(report) == ["anchor", "open", "settle"]


def test_accusation_that_prices_have_outrun_is_tried_again(play: Play) -> None:
    trouble = accusing(play, 6, faults={"accuse": failing(Underpaid(2, 1), times=1)})
    report, _, _ = play.run()
    assert (report.answered, report.waived) == ((address_of(6),), ())
    assert [sentence for sentence in trouble if "tried again" in sentence] == trouble[:1]


@pytest.mark.parametrize(
    "failure", [BlobsMissing(1, 6, 0, 131_072), GONE, RuntimeError("a library's own")], ids=lambda one: type(one).__name__
)
def test_answers_that_cannot_be_fetched_are_given_up_while_there_is_time_to_prove(play: Play, failure: Exception) -> None:
    trouble = accusing(play, 6, 0, faults={"answered_vector": failing(failure)})
    play.lost = {6, 0}
    report, decision, task = play.run()
    assert report.settled
    assert set(report.answered) == addresses({6, 0})
    assert (set(report.waived), report.void) == ({play.position_of(6), play.position_of(0)}, ())
    assert any("cannot be used" in sentence for sentence in trouble)
    play.check_learnt(report, decision, task)


def test_answers_are_checked_in_half_of_the_time_to_prove_at_most(play: Play) -> None:
    """Many answers that are slow to check must not cost the settlement."""

    def slow(method: Callable[..., bytes], *arguments: int) -> bytes:
        play.scene.world.timestamp = play.scene.state.settle_by - play.scene.terms.prove_seconds // 2
        return method(*arguments)

    trouble = accusing(play, 6, 0, faults={"answered_vector": slow})
    play.lost = {6, 0}
    report, _, _ = play.run()
    assert (set(report.answered), len(report.waived), len(report.accepted)) == (addresses({6, 0}), 1, 4)
    assert sum("half of the time to prove" in sentence for sentence in trouble) == 1


def test_answer_that_is_not_what_was_committed_waives(play: Play) -> None:
    def another(method: Callable[..., bytes], *arguments: int) -> bytes:
        return FieldVector.zeros(4096).to_bytes()

    trouble = accusing(play, 6, faults={"answered_vector": another})
    report, _, _ = play.run()
    assert (report.waived, report.void) == ((play.position_of(6),), ())
    assert any("not what seat" in sentence for sentence in trouble)


# Projections


@pytest.mark.parametrize("missing", ["waive", "accuse"])
def test_wrong_projection_is_no_delivery(tmp_path: Path, missing: Missing) -> None:
    """It is signed well, and would settle as something else than the vector; an answer has to bring the right one."""
    play = make_play(tmp_path, projected=True)
    trouble = accusing(play, 6, missing=missing)
    play.tampered = lambda number, delivery: play.projected(number, delivery, FieldVector.zeros(4096)) if number == 6 else delivery
    report, decision, task = play.run()
    assert any("a wrong projection" in sentence for sentence in trouble)
    assert (report.answered, report.waived) == (((), (play.position_of(6),)) if missing == "waive" else ((address_of(6),), ()))
    play.check_learnt(report, decision, task)


@pytest.mark.parametrize("honest", [False, True])
def test_answer_brings_a_projection_and_a_wrong_one_waives(tmp_path: Path, honest: bool) -> None:
    play = make_play(tmp_path, projected=True)
    trouble = accusing(play, 6)
    play.lost = {6}
    play.answered_with = None if honest else FieldVector.zeros(4096)
    report, decision, task = play.run()
    assert report.answered == (address_of(6),)
    assert report.waived == (() if honest else (play.position_of(6),))
    assert any("another projection" in sentence for sentence in trouble) != honest
    play.check_learnt(report, decision, task)


# From one process, and one round, to the next


def test_keeper_that_takes_over_waits_for_those_whom_its_predecessor_accused(play: Play, tmp_path: Path) -> None:
    class Gone(BaseException):
        pass

    def die(seconds: float) -> None:
        raise Gone

    directory = RunDirectory(tmp_path / "run")
    accusing(play, directory=directory, wait=die)
    play.lost = {6, 0}
    task = play.anchor_and_commit()
    play.open_and_deliver(task)
    with pytest.raises(Gone):
        play.keeper.prove()
    assert play.scene.state.accused == play.seat_bit(6) | play.seat_bit(0)
    accusing(play, 0, missing="waive", directory=directory)
    assert play.keeper.resume() is None
    decision = play.keeper.prove()
    report = play.keeper.settle(decision, None)
    assert (report.void, report.answered) == ((play.position_of(6),), (address_of(0),))
    assert "accuse" in events(report)
    play.check_learnt(report, decision, task)


@pytest.mark.parametrize(("num_owners", "missing"), [(18, "waive"), (18, "accuse"), (15, "waive")])
def test_group_that_did_not_deliver_is_left_out_while_there_are_others(tmp_path: Path, num_owners: int, missing: Missing) -> None:
    play = make_play(tmp_path, num_owners=num_owners)
    group = play.groups()[play.position_of(6)]
    for lost, parts in (({6}, (NEXT,)), (set(), (None, NEXT))):
        play.lost = lost
        accusing(play, 6, missing=missing, directory=RunDirectory(tmp_path / "run"))
        assert play.keeper.resume() is None
        report, decision, task = play.run(*parts)
    assert (len(report.roster), len(report.committed)) == (num_owners // 3 - 1, num_owners)
    assert not {owner for members in report.roster for owner in members} & addresses(group)
    assert not set(report.paid) & addresses(group), "who commits and never delivers is paid once in an epoch, not in every round"
    play.check_learnt(report, decision, task)


def test_group_that_did_not_deliver_is_asked_again_where_there_is_no_other(play: Play) -> None:
    """Otherwise a moment without any network would end the epoch."""
    play.lost = set(play.owners)
    play.run(NEXT)
    play.lost = set()
    report, decision, task = play.run(None, NEXT)
    assert len(report.roster) == 5
    play.check_learnt(report, decision, task)


def test_accusing_in_a_market_without_accusations_is_refused_at_once(tmp_path: Path) -> None:
    play = make_play(tmp_path, answer_seconds=0)
    with pytest.raises(TermsError, match="a market without accusations"):
        accusing(play)
    play.lost = {6}
    report, decision, task = play.run()
    assert report.waived == (play.position_of(6),)
    play.check_learnt(report, decision, task)
