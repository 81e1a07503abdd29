"""The keeper up to the proof: which task it anchors, which commitments and deliveries it takes, with whom it opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.owner_agent import MaskedUpdate
from omnilytics_flwr.errors import BadPoint, NotCanonical, ProtocolError, TaskMismatch, TooFewGroups, WireError, WrongLength
from omnilytics_flwr.market.messages import sign_commitment, sign_delivery
from omnilytics_flwr.market.refusals import TooLate, Underfunded
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper, open_margin_seconds
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.data_owner.owners import TASK, make_wallet
from tests.model_owner.conftest import NEXT, Play, addresses, make_play
from tests.support.builders import STRANGER, address_of, make_terms

# Anchoring


def test_anchor_the_same_parts_again_makes_no_transaction_and_others_start_the_next_round(play: Play) -> None:
    first = play.keeper.anchor(TASK)
    assert play.keeper.anchor(TASK) == RoundKeeper(play.scene.ledger()).anchor(TASK) == play.keeper.anchored(TASK) == first
    assert play.keeper.anchored(NEXT) is None
    assert play.scene.state.round == 1
    task = play.keeper.anchor(NEXT)
    assert (task.round, task.task_hash) == (2, NEXT.task_hash(2))
    assert play.keeper.anchored(TASK) is None


@pytest.mark.parametrize(("spare", "rounds"), [(0, 1), (-1, 2)])
def test_anchor_with_little_time_left_to_open_anchors_again(play: Play, spare: int, rounds: int) -> None:
    play.keeper.anchor(TASK)
    play.scene.world.timestamp = play.scene.state.open_by - play.scene.terms.commit_seconds // 2 - spare
    assert play.keeper.anchor(TASK).round == rounds


# Commitments


def test_commitment_of_a_stranger_or_signed_otherwise_is_refused(play: Play) -> None:
    task, open_by = play.keeper.anchor(TASK), play.scene.state.open_by
    own, digest = make_wallet(0), b"\7" * 32
    with pytest.raises(ProtocolError, match="is not of epoch 1"):
        play.keeper.add_commitment(address_of(STRANGER), digest, sign_commitment(make_wallet(STRANGER), task, digest, open_by))
    wrong = {
        "another's": sign_commitment(make_wallet(1), task, digest, open_by),
        "other digest": sign_commitment(own, task, b"\x08" * 32, open_by),
        "other deadline": sign_commitment(own, task, digest, open_by + 1),
        "other round": sign_commitment(own, replace(task, round=2), digest, open_by),
        "other epoch": sign_commitment(own, replace(task, epoch=2), digest, open_by),
        "other task": sign_commitment(own, replace(task, task_hash=bytes(32)), digest, open_by),
        "other market": sign_commitment(own, replace(task, market=address_of(STRANGER)), digest, open_by),
        "other chain": sign_commitment(own, replace(task, chain_id=1), digest, open_by),
    }
    for signature in wrong.values():
        with pytest.raises(TaskMismatch, match="it must be signed for this round by its own key"):
            play.keeper.add_commitment(own.address, digest, signature)
    for impossible in (bytes(64), b"\xff" * 64, b"", bytes(65)):
        with pytest.raises(WireError):
            play.keeper.add_commitment(own.address, digest, impossible)
    play.keeper.add_commitment(own.address, digest, sign_commitment(own, task, digest, open_by))


def test_second_commitment_counts_only_if_it_is_the_same(play: Play) -> None:
    task, open_by = play.keeper.anchor(TASK), play.scene.state.open_by
    wallet = make_wallet(0)
    for _ in range(2):
        play.keeper.add_commitment(wallet.address, b"\7" * 32, sign_commitment(wallet, task, b"\7" * 32, open_by))
    with pytest.raises(ProtocolError, match="has committed to another vector"):
        play.keeper.add_commitment(wallet.address, b"\x08" * 32, sign_commitment(wallet, task, b"\x08" * 32, open_by))


# Opening


def test_open_without_a_whole_group_reports_the_round(play: Play) -> None:
    reports: list[RoundReport] = []
    play.keep(on_round=reports.append)
    silent = {group[0] for group in play.groups()}
    task = play.anchor_and_commit(but=silent)
    before = play.scene.state
    with pytest.raises(TooFewGroups):
        play.keeper.open()
    assert play.scene.state == before, "nothing was sent"
    (report,) = play.keeper.reports
    assert reports == [report]
    assert (report.settled, report.round, report.roster, report.paid) == (False, 1, (), ())
    assert set(report.committed) == addresses(set(play.owners) - silent)
    assert not play.keeper.is_live
    assert play.keeper.anchor(TASK) == task, "the same task can be tried again while there is time"


@pytest.mark.parametrize(("groups", "tolerated"), [(1, 0), (2, 0), (4, 0), (5, 1), (6, 1)])
def test_round_tolerates_what_its_groups_allow(tmp_path: Path, groups: int, tolerated: int) -> None:
    play = make_play(tmp_path, num_owners=18)
    play.open_and_deliver(play.anchor_and_commit(but=[group[0] for group in play.groups()[groups:]]))
    report = play.keeper.settle(play.keeper.prove(), None)
    assert (len(report.roster), report.taking_part, report.tolerated) == (groups, groups, tolerated)
    assert len(report.dropped) == tolerated


def test_round_opens_early_only_with_enough_groups_and_without_those_who_were_absent_before(tmp_path: Path) -> None:
    """Two bad groups and one good one are whole first: who opened with them would learn from the bad ones."""
    play = make_play(tmp_path, num_owners=18)
    groups = play.groups()
    play.anchor_and_commit(but=[group[0] for group in groups[3:]])
    assert not play.keeper.may_open(grace_over=True, timed_out=True)
    play.commit_also(group[0] for group in groups[3:5])
    for grace_over in (False, True):
        assert not play.keeper.may_open(grace_over=grace_over), "nobody knows yet that the last group is not merely slow"
    assert play.keeper.may_open(grace_over=False, timed_out=True)
    play.open_and_deliver(play.keeper.live.task)
    play.keeper.settle(play.keeper.prove(), NEXT)

    play.anchor_and_commit(NEXT, but=[groups[5][0]])
    assert [play.keeper.may_open(grace_over=grace_over) for grace_over in (False, True)] == [False, True]
    play.commit_also([groups[5][0]])
    assert play.keeper.may_open(grace_over=False)
    play.open_and_deliver(play.keeper.live.task)
    play.keeper.settle(play.keeper.prove(), TASK)

    play.anchor_and_commit(TASK, but=[groups[5][0]])
    assert not play.keeper.may_open(grace_over=True), "it has committed since, so it is waited for again"


def test_late_deliveries_are_waited_for_unless_they_failed_to_come_before(play: Play) -> None:
    for parts, excused in ((TASK, False), (NEXT, True)):
        play.lost = {group[0] for group in play.groups()}
        play.open_and_deliver(play.anchor_and_commit(parts))
        assert [play.keeper.may_prove(grace_over=grace_over) for grace_over in (False, True)] == [False, excused]
        play.keeper.settle(play.keeper.prove(), NEXT if parts is TASK else None)
    play.lost.clear()


def test_late_deliveries_are_not_waited_for_for_ever(tmp_path: Path) -> None:
    """Time over, whoever says that its chain does not show the opening yet is waited for only if too few groups are whole without it."""
    play = make_play(tmp_path, num_owners=18)
    play.lost = {play.groups()[0][0]}
    play.open_and_deliver(play.anchor_and_commit())
    assert not play.keeper.may_prove(grace_over=True)
    assert [play.keeper.may_prove(grace_over=False, timed_out=True, early=early) for early in (False, True)] == [True, True]
    play.keeper.settle(play.keeper.prove(), NEXT)
    play.lost = {play.groups()[1][0]}
    play.open_and_deliver(play.anchor_and_commit(NEXT))
    assert len(play.keeper.live.roster) == 5, "the group of the first is left out"
    assert [play.keeper.may_prove(grace_over=False, timed_out=True, early=early) for early in (False, True)] == [True, False]


def test_opening_has_time_for_blocks_that_are_missed_and_data_owners_half_of_the_window_at_least() -> None:
    assert open_margin_seconds(make_terms(commit_seconds=3600)) == 72
    assert open_margin_seconds(make_terms(commit_seconds=60)) == 30


def test_group_with_a_member_that_took_its_stake_sits_out(tmp_path: Path) -> None:
    play = make_play(tmp_path, num_owners=18)
    task = play.commit_with_a_leaver(3)
    play.scene.ledger(3).depart()
    play.open_and_deliver(task)
    group = play.groups()[play.position_of(3)]
    assert len(play.keeper.live.digests()) == 15
    assert not addresses(group) & {member.owner for member in play.keeper.live.roster_members()}
    report = play.keeper.settle(play.keeper.prove(), None)
    assert len(report.accepted) == 4
    assert not addresses(group) & set(report.paid)


@pytest.mark.parametrize("case", ["late", "no money"])
def test_open_refused_by_the_market_is_its_named_refusal(play: Play, case: str) -> None:
    play.anchor_and_commit()
    if case == "late":
        play.scene.world.timestamp = play.scene.state.open_by + 1
    else:
        play.scene.market.storage.escrow_wei = 1
    with pytest.raises(TooLate if case == "late" else Underfunded):
        play.keeper.open()
    assert play.scene.state.stage is Stage.ANCHORED


# Deliveries


def test_delivery_that_is_not_what_was_committed_is_refused(play: Play) -> None:
    deliveries = play.deliveries(play.anchor_and_commit(), play.keeper.open())
    good, other = deliveries[0], deliveries[1]
    bad: list[tuple[MaskedUpdate, type[Exception]]] = [
        (replace(good, points=other.points), ProtocolError),
        (replace(good, points=bytes(96)), ProtocolError),
        (replace(good, projected=other.points, signature=bytes(64)), WrongLength),
        (replace(good, vector=good.vector[:-1]), WrongLength),
        (replace(good, vector=good.vector + bytes(32)), WrongLength),
        (replace(good, vector=b""), WrongLength),
        (replace(good, vector=b"\xff" * 32 + good.vector[32:]), NotCanonical),
        (replace(good, owner=address_of(STRANGER)), ProtocolError),
        (replace(good, owner=other.owner), ProtocolError),
    ]
    for delivery, error in bad:
        with pytest.raises(error):
            play.add(delivery)
    play.add(good)


def test_delivery_of_a_projected_market_is_signed_for_this_roster_by_its_owner(tmp_path: Path) -> None:
    play = make_play(tmp_path, projected=True)
    task = play.anchor_and_commit()
    good = play.deliveries(task, play.keeper.open())[0]
    digest, roster_hash = points_digest(good.projected), play.keeper.live.roster_hash()
    wrong = {
        "another's": sign_delivery(make_wallet(1), task, roster_hash, digest),
        "other roster": sign_delivery(make_wallet(0), task, bytes(32), digest),
        "other round": sign_delivery(make_wallet(0), replace(task, round=2), roster_hash, digest),
        "other market": sign_delivery(make_wallet(0), replace(task, market=address_of(STRANGER)), roster_hash, digest),
        "other chain": sign_delivery(make_wallet(0), replace(task, chain_id=1), roster_hash, digest),
        "other projection": sign_delivery(make_wallet(0), task, roster_hash, bytes(32)),
        "a commitment": sign_commitment(make_wallet(0), task, digest, play.scene.state.open_by),
    }
    for signature in wrong.values():
        with pytest.raises(ProtocolError, match="must be signed for this roster by its own key"):
            play.add(replace(good, signature=signature))
    for bad in (replace(good, projected=b"", signature=b""), replace(good, projected=bytes(95) + b"\1"), replace(good, signature=b"")):
        with pytest.raises(WireError):
            play.add(bad)
    play.add(good)


def test_where_nobody_can_be_accused_the_hash_of_a_projected_vector_commits_to_it(tmp_path: Path) -> None:
    """No answer has to lead to a point. A round settles, and neither another vector nor another projection is a delivery."""
    play = make_play(tmp_path, projected=True, answer_seconds=0)
    task = play.anchor_and_commit()
    deliveries = play.deliveries(task, play.keeper.open())
    for delivery in deliveries.values():
        assert (delivery.points, keccak256(delivery.vector)) == (b"", play.keeper.live.commitments[delivery.owner].digest)
    with pytest.raises(ProtocolError, match="not that of its digest"):
        play.add(replace(deliveries[0], vector=deliveries[1].vector))
    with pytest.raises(WrongLength):
        play.add(replace(deliveries[0], points=deliveries[0].projected))
    deliveries[6] = play.projected(6, deliveries[6], FieldVector.zeros(4096))
    for delivery in deliveries.values():
        play.add(delivery)
    decision = play.keeper.prove()
    report = play.keeper.settle(decision, None)
    assert report.waived == (play.position_of(6),)
    play.check_learnt(report, decision, task)


def test_committed_points_that_are_none_are_refused_and_waive_the_group(play: Play) -> None:
    garbage, wallet = bytes(range(96)), make_wallet(0)
    digest = points_digest(garbage)
    task = play.anchor_and_commit(but=[0])
    play.keeper.add_commitment(wallet.address, digest, sign_commitment(wallet, task, digest, play.scene.state.open_by))
    play.lost = {0}
    play.open_and_deliver(task)
    with pytest.raises(BadPoint):
        play.keeper.add_delivery(wallet.address, bytes(131_072), garbage)
    report = play.keeper.settle(play.keeper.prove(), None)
    assert report.waived == (play.position_of(0),)
