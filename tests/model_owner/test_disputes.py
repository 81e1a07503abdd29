"""Who does not deliver is accused: those who answer take part, the stake of those who do not pays their group, and every book balances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.errors import BlobsMissing, Unreachable
from omnilytics_flwr.market.dispute import accuse_by
from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.market.refusals import Underpaid
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.task import TaskParts
from omnilytics_flwr.model_owner.disputes import ACCUSE_MARGIN_SECONDS
from omnilytics_flwr.model_owner.round_keeper import Missing, RoundKeeper
from omnilytics_flwr.model_owner.round_report import RoundReport
from omnilytics_flwr.model_owner.run_directory import RunDirectory
from tests.model_owner.rounds import Play, addresses, claimable, make_play
from tests.support.builders import MODEL_OWNER, WEALTH_WEI, address_of

FEE_WEI = 77
NEXT = TaskParts(b"\4" * 32, b"\5" * 32, b"\6" * 32)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return make_play(tmp_path, accuse_fee_wei=FEE_WEI)


def accusing(play: Play, *answering: int, ledger: ModelOwnerLedger | None = None, missing: Missing = "accuse", **options: Any) -> list[str]:
    """Give a play a keeper that accuses; the trouble that it will tell of."""
    trouble: list[str] = []
    play.keeper = RoundKeeper(
        ledger or play.scene.ledger(), missing=missing, clock=Clock(play.pass_time(*answering)), on_trouble=trouble.append, **options
    )
    return trouble


def events(report: RoundReport) -> list[str]:
    return [receipt.event for receipt in report.receipts]


def check_books(play: Play) -> None:
    """Nothing came from nowhere, nothing is lost, and nobody has an accusation left."""
    assert play.scene.surplus_wei() == 0
    assert play.scene.state.owed_wei == sum(claimable(play).values())


def test_accused_that_answers_takes_part_and_earns_the_fee(play: Play) -> None:
    accusing(play, 6)
    play.lost = {6}
    report, proven, task = play.run(NEXT)
    assert events(report) == ["anchor", "open", "accuse", "settle"]
    assert (report.accused, report.answered) == ((address_of(6),), (address_of(6),))
    assert (report.void, report.waived) == ((), ())
    assert len(report.accepted) == 4
    np.testing.assert_allclose(proven.mean, play.mean_of(play.accepted_numbers(report), task), rtol=0, atol=1e-12)
    paid_before = play.scene.world.balances[address_of(6)]
    play.scene.ledger(6).withdraw(address_of(6))
    assert play.scene.world.balances[address_of(6)] - paid_before >= FEE_WEI
    check_books(play)


def test_accused_that_is_silent_voids_its_group_and_its_stake_pays_the_others(play: Play) -> None:
    accusing(play)
    play.lost = {6}
    group = play.groups()[play.position_of(6)]
    report, proven, task = play.run(NEXT)
    assert (report.void, report.waived, report.answered) == ((play.position_of(6),), (), ())
    assert len(report.accepted) == 3
    assert set(report.paid) & addresses(group) == addresses(set(group) - {6})
    np.testing.assert_allclose(proven.mean, play.mean_of(play.accepted_numbers(report), task), rtol=0, atol=1e-12)
    assert play.scene.state.slashed == play.seat_bit(6)
    assert claimable(play)[6] == 0
    play.scene.ledger().withdraw(address_of(MODEL_OWNER))
    spent_wei = WEALTH_WEI - play.scene.world.balances[address_of(MODEL_OWNER)]
    assert spent_wei == 200_000, "fee and deposit are the model owner's again; only the escrow is gone"
    check_books(play)


def test_of_several_accused_each_gets_what_it_did(play: Play) -> None:
    culprits = [play.groups()[position][0] for position in (0, 1, 3)]
    answers, silent, also_silent = culprits
    accusing(play, answers)
    play.lost = set(culprits)
    report, _, _ = play.run(NEXT)
    assert set(report.accused) == addresses(culprits)
    assert report.answered == (address_of(answers),)
    assert report.void == (1, 3)
    assert play.scene.state.slashed == play.seat_bit(silent) | play.seat_bit(also_silent)
    assert not set(report.paid) & addresses([silent, also_silent])
    check_books(play)


def test_everybody_lost_and_silent_settles_with_nobody_taking_part(play: Play) -> None:
    accusing(play)
    play.lost = set(play.owners)
    report, proven, _ = play.run()
    assert proven.mean is None
    assert report.void == (0, 1, 2, 3, 4)
    assert report.paid == ()
    assert play.scene.state.stage is Stage.IDLE
    check_books(play)


def test_wrong_vector_is_accused_and_may_be_answered_with_the_right_one(play: Play) -> None:
    accusing(play, 6)
    other = FieldVector.zeros(4096).to_bytes()
    play.tampered = lambda number, delivery: replace(delivery, vector=other) if number == 6 else delivery
    report, proven, task = play.run()
    assert report.answered == (address_of(6),)
    assert report.void == report.waived == ()
    np.testing.assert_allclose(proven.mean, play.mean_of(play.accepted_numbers(report), task), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("late", "accused"), [(0, True), (1, False)])
def test_too_late_to_accuse_waives(play: Play, late: int, accused: bool) -> None:
    trouble = accusing(play, 6)
    play.lost = {6}
    play.open_and_deliver(play.anchor_and_commit())
    play.scene.world.timestamp = accuse_by(play.scene.state.settle_by, play.scene.terms) - ACCUSE_MARGIN_SECONDS + late
    report = play.keeper.settle(play.keeper.prove(), None)
    assert bool(report.accused) == accused
    assert report.waived == (() if accused else (play.position_of(6),))
    assert any("too late to accuse" in sentence for sentence in trouble) != accused
    check_books(play)


def test_accusation_that_cannot_be_paid_waives(play: Play) -> None:
    trouble = accusing(play)
    play.lost = {6}
    play.open_and_deliver(play.anchor_and_commit())
    play.scene.world.balances[address_of(MODEL_OWNER)] = 1
    report = play.keeper.settle(play.keeper.prove(), None)
    assert report.waived == (play.position_of(6),)
    assert any("nobody could be accused" in sentence for sentence in trouble)
    assert len(report.paid) == 12


class Troubled:
    """A ledger of which one method fails."""

    def __init__(self, ledger: ModelOwnerLedger, method: str, failure: Callable[[], Exception]) -> None:
        self._ledger, self._method, self._failure = ledger, method, failure

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._ledger, name)

        def fail(*arguments: object) -> None:
            raise self._failure()

        return fail


def test_answer_whose_blobs_are_gone_waives_its_group(play: Play) -> None:
    seat = play.scene.market.owner_record(address_of(6)).seat
    ledger = Troubled(play.scene.ledger(), "answered_vector", lambda: BlobsMissing(1, seat, 0, 131_072))
    trouble = accusing(play, 6, ledger=cast("ModelOwnerLedger", ledger))
    play.lost = {6}
    report, _, _ = play.run()
    assert report.answered == (address_of(6),)
    assert report.waived == (play.position_of(6),)
    assert report.void == ()
    assert any("cannot be used" in sentence for sentence in trouble)
    check_books(play)


def test_chain_that_takes_no_accusation_waives(play: Play) -> None:
    ledger = Troubled(play.scene.ledger(), "accuse", lambda: Unreachable("the node is gone; expected an answer; check it"))
    accusing(play, ledger=cast("ModelOwnerLedger", ledger))
    play.lost = {6}
    report, _, _ = play.run()
    assert report.waived == (play.position_of(6),)
    assert events(report) == ["anchor", "open", "settle"]


class Rising:
    """A ledger that takes an accusation at the second try only, as when prices rise in between."""

    def __init__(self, ledger: ModelOwnerLedger) -> None:
        self._ledger, self.tries = ledger, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def accuse(self, *arguments: Any) -> Any:
        self.tries += 1
        if self.tries == 1:
            raise Underpaid(2, 1)
        return self._ledger.accuse(*arguments)


def test_accusation_that_prices_have_outrun_is_tried_again(play: Play) -> None:
    ledger = Rising(play.scene.ledger())
    trouble = accusing(play, 6, ledger=cast("ModelOwnerLedger", ledger))
    play.lost = {6}
    report, _, _ = play.run()
    assert ledger.tries == 2
    assert report.answered == (address_of(6),)
    assert report.waived == ()
    assert any("tried again" in sentence for sentence in trouble)


def test_blobs_that_nobody_serves_are_given_up_while_there_is_time_to_prove(play: Play) -> None:
    failure = Unreachable("the beacon node is gone; expected an answer; check it")
    ledger = Troubled(play.scene.ledger(), "answered_vector", lambda: failure)
    accusing(play, 6, 0, ledger=cast("ModelOwnerLedger", ledger))
    play.lost = {6, 0}
    report, _, _ = play.run()
    assert report.settled
    assert set(report.waived) == {play.position_of(6), play.position_of(0)}
    check_books(play)


def test_failure_of_any_kind_while_blobs_are_fetched_waives(play: Play) -> None:
    ledger = Troubled(play.scene.ledger(), "answered_vector", lambda: RuntimeError("a library's own"))
    accusing(play, 6, ledger=cast("ModelOwnerLedger", ledger))
    play.lost = {6}
    report, _, _ = play.run()
    assert report.settled
    assert report.waived == (play.position_of(6),)


def test_waiving_keeper_accuses_nobody(play: Play) -> None:
    accusing(play, missing="waive")
    play.lost = {6}
    report, _, _ = play.run()
    assert report.accused == ()
    assert report.waived == (play.position_of(6),)


def test_keeper_that_takes_over_waits_for_those_whom_its_predecessor_accused(play: Play, tmp_path: Path) -> None:
    class Gone(BaseException):
        pass

    def die(seconds: float) -> None:
        raise Gone

    directory = RunDirectory(tmp_path / "run")
    play.keeper = RoundKeeper(play.scene.ledger(), missing="accuse", directory=directory, clock=Clock(die))
    play.lost = {6, 0}
    play.open_and_deliver(play.anchor_and_commit())
    with pytest.raises(Gone):
        play.keeper.prove()
    assert play.scene.state.accused == play.seat_bit(6) | play.seat_bit(0)
    accusing(play, 0, missing="waive", directory=directory)
    assert play.keeper.resume() is None
    report = play.keeper.settle(play.keeper.prove(), None)
    assert report.void == (play.position_of(6),)
    assert report.answered == (address_of(0),)
    assert "accuse" in events(report)
    check_books(play)


@pytest.mark.parametrize(("num_owners", "missing"), [(18, "waive"), (18, "accuse"), (15, "waive")])
def test_group_that_did_not_deliver_is_left_out_while_enough_others_remain(tmp_path: Path, num_owners: int, missing: Missing) -> None:
    play = make_play(tmp_path, num_owners=num_owners)
    accusing(play, 6, missing=missing, directory=RunDirectory(tmp_path / "run"))
    play.lost = {6}
    group = play.groups()[play.position_of(6)]
    play.run(NEXT)
    play.lost = set()
    accusing(play, 6, missing=missing, directory=RunDirectory(tmp_path / "run"))
    assert play.keeper.resume() is None
    report, _, _ = play.run(None, NEXT)
    left_out = num_owners == 18
    assert len(report.roster) == 5
    assert len(report.committed) == num_owners
    assert bool({owner for members in report.roster for owner in members} & addresses(group)) != left_out
    assert bool(set(report.paid) & addresses(group)) != left_out or report.dropped
    check_books(play)
