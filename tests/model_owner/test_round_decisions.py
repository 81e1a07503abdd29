"""What a round comes to: who is accepted, excluded, waived and paid, and what is learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.task import TaskParts
from tests.data_owner.owners import TASK, WEIGHTS, live_task
from tests.model_owner.rounds import Play, addresses, claimable, honest_update, make_play, wild_units

NEXT = TaskParts(b"\4" * 32, b"\5" * 32, b"\6" * 32)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return make_play(tmp_path)


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
