"""The keeper: what it takes, whom it does without, what it learns and pays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.crypto.commitment import points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.data_owner.agent import Delivery
from omnilytics_flwr.errors import (
    BadPoint,
    NotCanonical,
    OmnilyticsError,
    ProtocolError,
    TaskMismatch,
    TooFewGroups,
    WireError,
    WrongLength,
)
from omnilytics_flwr.market.refusals import TooLate, Underfunded
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.model_owner.keeper import OPEN_MARGIN_SECONDS, RoundKeeper
from omnilytics_flwr.model_owner.report import RoundReport
from tests.builders import STRANGER, address_of
from tests.data_owner.owners import (
    TASK,
    WEIGHTS,
    live_task,
    make_wallet,
)
from tests.model_owner.rounds import Play, addresses, claimable, honest_update, make_play, wild_units

NEXT = TaskParts(b"\4" * 32, b"\5" * 32, b"\6" * 32)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return make_play(tmp_path)


# Anchoring


def test_anchor_the_same_parts_again_makes_no_transaction(play: Play) -> None:
    first = play.keeper.anchor(TASK)
    assert play.keeper.anchor(TASK) == first
    assert play.keeper.anchored(TASK) == first
    assert play.keeper.anchored(NEXT) is None
    assert play.scene.state.round == 1


def test_anchor_other_parts_starts_the_next_round(play: Play) -> None:
    play.keeper.anchor(TASK)
    task = play.keeper.anchor(NEXT)
    assert (task.round, task.task_hash) == (2, NEXT.task_hash(2))
    assert play.keeper.anchored(TASK) is None


@pytest.mark.parametrize(("left", "rounds"), [(OPEN_MARGIN_SECONDS, 1), (OPEN_MARGIN_SECONDS - 1, 2)])
def test_anchor_with_little_time_left_to_open_anchors_again(play: Play, left: int, rounds: int) -> None:
    play.keeper.anchor(TASK)
    play.scene.world.timestamp = play.scene.state.open_by - left
    assert play.keeper.anchor(TASK).round == rounds


def test_keeper_of_a_new_process_takes_up_the_anchored_task(play: Play) -> None:
    task = play.keeper.anchor(TASK)
    assert RoundKeeper(play.scene.ledger()).anchor(TASK) == task


# Commitments


def test_commitment_of_a_stranger_is_refused(play: Play) -> None:
    task = play.keeper.anchor(TASK)
    signature = make_wallet(STRANGER).sign_commitment(task, bytes(32), play.scene.state.open_by)
    with pytest.raises(ProtocolError, match="is not of epoch 1"):
        play.keeper.add_commitment(address_of(STRANGER), bytes(32), signature)


def test_commitment_signed_otherwise_is_refused(play: Play) -> None:
    task, open_by = play.keeper.anchor(TASK), play.scene.state.open_by
    own, digest = make_wallet(0), b"\7" * 32
    wrong = {
        "another's": make_wallet(1).sign_commitment(task, digest, open_by),
        "other digest": own.sign_commitment(task, b"\x08" * 32, open_by),
        "other deadline": own.sign_commitment(task, digest, open_by + 1),
        "other round": own.sign_commitment(replace(task, round=2), digest, open_by),
        "other epoch": own.sign_commitment(replace(task, epoch=2), digest, open_by),
        "other task": own.sign_commitment(replace(task, task_hash=bytes(32)), digest, open_by),
        "other market": own.sign_commitment(replace(task, market=address_of(STRANGER)), digest, open_by),
        "other chain": own.sign_commitment(replace(task, chain_id=1), digest, open_by),
    }
    for signature in wrong.values():
        with pytest.raises(TaskMismatch, match="it must be signed for this round by its own key"):
            play.keeper.add_commitment(own.address, digest, signature)
    play.keeper.add_commitment(own.address, digest, own.sign_commitment(task, digest, open_by))


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, b"", bytes(65)])
def test_commitment_with_an_impossible_signature_is_refused(play: Play, signature: bytes) -> None:
    play.keeper.anchor(TASK)
    with pytest.raises(WireError):
        play.keeper.add_commitment(address_of(0), bytes(32), signature)


def test_second_commitment_counts_only_if_it_is_the_same(play: Play) -> None:
    task, open_by = play.keeper.anchor(TASK), play.scene.state.open_by
    wallet = make_wallet(0)
    for _ in range(2):
        play.keeper.add_commitment(wallet.address, b"\7" * 32, wallet.sign_commitment(task, b"\7" * 32, open_by))
    with pytest.raises(ProtocolError, match="has committed to another vector"):
        play.keeper.add_commitment(wallet.address, b"\x08" * 32, wallet.sign_commitment(task, b"\x08" * 32, open_by))


# Opening


def test_open_with_too_few_whole_groups_reports_the_round(play: Play) -> None:
    reports: list[RoundReport] = []
    play.keeper = RoundKeeper(play.scene.ledger(), on_round=reports.append)
    task = play.keeper.anchor(TASK)
    for number, commitment in play.commitments(task).items():
        if number != 3:
            play.keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)
    before = play.scene.state
    with pytest.raises(TooFewGroups) as refusal:
        play.keeper.open()
    assert (refusal.value.actual, refusal.value.least) == (4, 5)
    assert play.scene.state == before, "nothing was sent"
    (report,) = play.keeper.reports
    assert reports == [report]
    assert (report.settled, report.round, report.roster, report.paid) == (False, 1, (), ())
    assert set(report.committed) == addresses(set(play.owners) - {3})
    assert not play.keeper.is_live
    assert play.keeper.anchor(TASK) == task, "the same task can be tried again while there is time"


def test_group_with_a_member_that_took_its_stake_sits_out(tmp_path: Path) -> None:
    play = make_play(tmp_path, num_owners=18)
    scene, leaver = play.scene, play.scene.ledger(3)
    leaver.leave()
    scene.world.wait(scene.terms.leave_seconds - 30)
    task = play.anchor_and_commit()
    scene.world.wait(30)
    leaver.depart()
    digests = play.keeper.open()
    assert len(digests) == 15
    group = play.groups()[play.position_of(3)]
    assert not addresses(group) & set(play.keeper.roster_owners())
    for delivery in play.deliveries(task, digests).values():
        play.keeper.add_delivery(delivery.owner, delivery.vector, delivery.points)
    report = play.keeper.settle(play.keeper.prove(), None)
    assert len(report.accepted) == 4
    assert not addresses(group) & set(report.paid)


def test_too_few_groups_left_after_one_took_its_stake_reports_the_round(play: Play) -> None:
    scene, leaver = play.scene, play.scene.ledger(3)
    leaver.leave()
    scene.world.wait(scene.terms.leave_seconds - 30)
    play.anchor_and_commit()
    scene.world.wait(30)
    leaver.depart()
    with pytest.raises(TooFewGroups):
        play.keeper.open()
    assert [report.settled for report in play.keeper.reports] == [False]


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


def delivered(play: Play) -> tuple[dict[int, Delivery], TaskId]:
    task = play.anchor_and_commit()
    return play.deliveries(task, play.keeper.open()), task


def test_delivery_that_is_not_what_was_committed_is_refused(play: Play) -> None:
    deliveries, _ = delivered(play)
    good, other = deliveries[0], deliveries[1]
    bad: list[tuple[Delivery, type[OmnilyticsError]]] = [
        (replace(good, points=other.points), ProtocolError),
        (replace(good, points=bytes(128)), ProtocolError),
        (replace(good, points=b""), ProtocolError),
        (replace(good, vector=good.vector[:-1]), WrongLength),
        (replace(good, vector=good.vector + bytes(32)), WrongLength),
        (replace(good, vector=b""), WrongLength),
        (replace(good, vector=b"\xff" * 32 + good.vector[32:]), NotCanonical),
        (replace(good, owner=address_of(STRANGER)), ProtocolError),
        (replace(good, owner=other.owner), ProtocolError),
    ]
    for delivery, error in bad:
        with pytest.raises(error):
            play.keeper.add_delivery(delivery.owner, delivery.vector, delivery.points)
    play.keeper.add_delivery(good.owner, good.vector, good.points)


def test_committed_points_that_are_none_are_refused_and_waive_the_group(play: Play) -> None:
    task = play.keeper.anchor(TASK)
    garbage, wallet = bytes(range(128)), make_wallet(0)
    digest = points_digest(garbage)
    for number, commitment in play.commitments(task).items():
        if number == 0:
            signature = wallet.sign_commitment(task, digest, play.scene.state.open_by)
            play.keeper.add_commitment(wallet.address, digest, signature)
        else:
            play.keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)
    digests = play.keeper.open()
    play.lost = {0}
    deliveries = play.deliveries(task, digests)
    with pytest.raises(BadPoint):
        play.keeper.add_delivery(wallet.address, bytes(131_072), garbage)
    for delivery in deliveries.values():
        play.keeper.add_delivery(delivery.owner, delivery.vector, delivery.points)
    report = play.keeper.settle(play.keeper.prove(), None)
    assert report.waived == (play.position_of(0),)


# Settling


def test_accepted_mean_is_the_plain_mean_of_the_quantised_updates(play: Play) -> None:
    report, proven, task = play.run()
    accepted = play.accepted_numbers(report)
    assert len(accepted) == 12
    assert proven.mean is not None
    np.testing.assert_allclose(proven.mean, play.mean_of(accepted, task), rtol=0, atol=1e-12)
    plain = np.mean([honest_update(number) for number in accepted], axis=0)
    np.testing.assert_allclose(proven.mean, plain, rtol=0, atol=1 / (2**15 - 1))
    assert set(report.paid) == addresses(accepted)


def test_mean_of_groups_of_different_sizes_weighs_every_data_owner_the_same(tmp_path: Path) -> None:
    play = make_play(tmp_path, num_owners=17)
    report, proven, task = play.run()
    assert sorted(len(group) for group in report.roster) == [3, 3, 3, 4, 4]
    assert report.scale == 12
    accepted = play.accepted_numbers(report)
    assert proven.mean is not None
    np.testing.assert_allclose(proven.mean, play.mean_of(accepted, task), rtol=0, atol=1e-12)


def test_update_beyond_the_clip_counts_as_clipped(play: Play) -> None:
    play.updates = {number: 5.0 * np.sign(honest_update(0)) for number in play.owners}
    _, proven, _ = play.run()
    np.testing.assert_allclose(proven.mean, np.sign(honest_update(0)), rtol=0, atol=1e-12)


def test_attacking_group_is_dropped_and_everybody_else_is_paid(play: Play) -> None:
    group = play.groups()[2]
    play.updates = {number: -4 * honest_update(number) for number in group}
    report, proven, task = play.run()
    assert report.dropped == (2,)
    honest = set(play.owners) - set(group)
    assert set(report.paid) == addresses(honest)
    np.testing.assert_allclose(proven.mean, play.mean_of(sorted(honest), task), rtol=0, atol=1e-12)


def test_missing_delivery_waives_its_group(play: Play) -> None:
    play.lost = {6}
    report, _, _ = play.run()
    assert report.waived == (play.position_of(6),)
    assert set(report.roster[report.waived[0]]) <= set(report.paid)
    assert len(report.accepted) == 3


def test_wrong_vector_waives_its_group_and_settles_everybody_else(play: Play) -> None:
    """One data owner commits to one vector and delivers another; no single look at either shows it."""
    other = FieldVector.zeros(4096).to_bytes()
    play.tampered = lambda number, delivery: replace(delivery, vector=other) if number == 6 else delivery
    report, proven, task = play.run()
    assert report.waived == (play.position_of(6),)
    accepted = play.accepted_numbers(report)
    assert 6 not in accepted
    np.testing.assert_allclose(proven.mean, play.mean_of(accepted, task), rtol=0, atol=1e-12)
    assert len(report.paid) == 12


def test_wrong_vectors_of_several_groups_waive_them_all(play: Play) -> None:
    culprits = [group[0] for group in play.groups()[1:3]] + [play.groups()[2][1]]
    other = FieldVector.zeros(4096).to_bytes()
    play.tampered = lambda number, delivery: replace(delivery, vector=other) if number in culprits else delivery
    report, _, _ = play.run()
    assert report.waived == (1, 2)
    assert len(report.accepted) == 2


def test_everything_lost_is_settled_and_paid_and_teaches_nothing(play: Play) -> None:
    play.lost = set(play.owners)
    report, proven, _ = play.run(NEXT)
    assert proven.mean is None
    assert report.waived == (0, 1, 2, 3, 4)
    assert set(report.paid) == addresses(play.owners)
    assert play.scene.state.stage is Stage.ANCHORED


@pytest.mark.parametrize("value", [0, 2**18, 10**9, 2**63])
def test_group_out_of_range_is_excluded_and_unpaid(play: Play, value: int) -> None:
    group = play.groups()[1]
    play.units = {number: wild_units(value) for number in group}
    report, proven, task = play.run()
    assert report.excluded == (1,)
    assert not report.dropped, "the one group that may go unpaid is the excluded one"
    assert set(report.paid) == addresses(set(play.owners) - set(group))
    np.testing.assert_allclose(proven.mean, play.mean_of(play.accepted_numbers(report), task), rtol=0, atol=1e-12)
    assert all(claimable(play)[number] == 0 for number in group)


def test_mask_that_does_not_cancel_excludes_its_group(play: Play) -> None:
    culprit = play.groups()[1][0]
    noise = np.random.default_rng(5).integers(1, 2**62, 8192, dtype=np.uint64)
    play.units = {culprit: noise}
    report, _, _ = play.run()
    assert report.excluded == (1,)


def test_more_than_f_groups_out_of_range_waives_the_surplus(play: Play) -> None:
    """At most f groups may go unpaid, whatever they did: the market would refuse anything else."""
    groups = play.groups()
    play.units = {number: wild_units() for place in (0, 2, 3) for number in groups[place]}
    report, proven, task = play.run()
    assert report.excluded == (0,)
    assert report.waived == (2, 3)
    assert set(report.paid) == addresses(set(play.owners) - set(groups[0]))
    assert report.accepted == (1, 4)
    np.testing.assert_allclose(proven.mean, play.mean_of(play.accepted_numbers(report), task), rtol=0, atol=1e-12)


def test_every_group_out_of_range_leaves_one_unpaid(play: Play) -> None:
    play.units = {number: wild_units() for number in play.owners}
    report, proven, _ = play.run()
    assert report.excluded == (0,)
    assert report.waived == (1, 2, 3, 4)
    assert proven.mean is None


@pytest.mark.parametrize(("far", "ineligible", "waived"), [((2,), (2,), ()), ((0, 2, 4), (0,), (2, 4))])
def test_group_beyond_the_norm_bound_is_unpaid_and_its_surplus_waived(
    tmp_path: Path, far: tuple[int, ...], ineligible: tuple[int, ...], waived: tuple[int, ...]
) -> None:
    play = make_play(tmp_path, norm_bound=(2**15) ** 2 * 20)
    groups = play.groups()
    play.updates = {number: np.ones(WEIGHTS) for place in far for number in groups[place]}
    report, proven, task = play.run()
    assert (report.ineligible, report.waived, report.excluded) == (ineligible, waived, ())
    unpaid = {number for place in ineligible for number in groups[place]}
    assert set(report.paid) == addresses(set(play.owners) - unpaid)
    np.testing.assert_allclose(proven.mean, play.mean_of(play.accepted_numbers(report), task), rtol=0, atol=1e-12)


def test_out_of_range_beyond_the_norm_and_lost_together_leave_f_unpaid(tmp_path: Path) -> None:
    play = make_play(
        tmp_path,
        num_owners=21,
        faulty_groups=2,
        most_owners=21,
        norm_bound=(2**15) ** 2 * 20,
        accuse_seconds=90,
        answer_seconds=400,
        prove_seconds=200,
    )
    groups = play.groups()
    play.units = {number: wild_units() for number in groups[1]}
    play.updates = {number: np.ones(WEIGHTS) for number in groups[4]}
    play.lost = {groups[6][0]}
    report, _, _ = play.run()
    assert (report.excluded, report.ineligible, report.dropped, report.waived) == ((1,), (4,), (), (6,))
    assert len(report.paid) == 15


def test_settle_anchors_the_next_task_in_the_same_transaction(play: Play) -> None:
    report, _, _ = play.run(NEXT)
    assert [receipt.event for receipt in report.receipts] == ["anchor", "open", "settle"]
    assert set(report.receipts[-1].logs) >= {"Settled", "Anchored"}
    assert play.scene.state.task_hash == NEXT.task_hash(2)
    second, _, task = play.run(None, NEXT)
    assert task.round == 2
    assert [receipt.event for receipt in second.receipts] == ["open", "settle"]
    assert play.scene.state.stage is Stage.IDLE
    assert [one.round for one in play.keeper.reports] == [1, 2]


def test_report_tells_what_the_market_did(play: Play) -> None:
    before = play.scene.state.escrow_wei
    report, _, _ = play.run()
    state = play.scene.state
    assert state.owed_wei == len(report.paid) * play.scene.terms.reward_wei
    assert before - state.escrow_wei == state.owed_wei + play.scene.terms.bond_wei
    payable = {play.scene.number_of(owner) for owner in report.paid}
    assert claimable(play) == {number: 1_000 if number in payable else 0 for number in play.owners}
    assert len(report.distances) == 15
    assert set(report.seconds) == {"chain", "server_crypto"}
    assert all(seconds > 0 for seconds in report.seconds.values())
    assert play.scene.surplus_wei() == 0


def test_task_of_a_live_round_is_the_anchored_one(play: Play) -> None:
    assert play.keeper.anchor(TASK) == play.keeper.task == live_task(play.scene)
