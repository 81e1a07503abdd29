"""What a round comes to: who is accepted, dropped, waived and paid, and what is learnt."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from omnilytics_flwr.adversary.vectors import HalfOutOfRange, Isotropic, VectorAttack
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.market import scheme as scheme_module
from omnilytics_flwr.market.scheme import scheme_for
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.model_owner.decision import GroupSum, decide
from tests.data_owner.owners import TASK, WEIGHTS, live_task
from tests.model_owner.conftest import NEXT, Play, addresses, failing, honest_update, make_play

FATES = ("ineligible", "dropped", "waived", "void")
NORM_BOUND = (2**15) ** 2 * 20
"""Of T: far enough for honest updates, and not for ones."""


def wild_units(value: int = 10**9) -> NDArray[np.int64]:
    """Units of which one is far out of range."""
    units = np.zeros(8192, dtype=np.int64)
    units[5] = value
    return units


def attack(play: Play) -> None:
    play.updates = {number: -4 * honest_update(number) for number in play.groups()[2]}


def lose_one(play: Play) -> None:
    play.lost = {play.groups()[2][0]}


def lose_all(play: Play) -> None:
    play.lost = set(play.owners)


def deliver_another_vector(*places: tuple[int, int]) -> Callable[[Play], None]:
    """Members, as group and place in it, commit to one vector and deliver another; no single look at either shows it."""

    def change(play: Play) -> None:
        culprits = [play.groups()[group][place] for group, place in places]
        other = FieldVector.zeros(4096).to_bytes()
        play.tampered = lambda number, delivery: replace(delivery, vector=other) if number in culprits else delivery

    return change


def out_of_range(*groups: int, value: int = 10**9) -> Callable[[Play], None]:
    def change(play: Play) -> None:
        play.units |= {number: wild_units(value) for group in groups for number in play.groups()[group]}

    return change


def noise(play: Play) -> None:
    play.units = {play.groups()[1][0]: np.random.default_rng(5).integers(1, 2**61, 8192, dtype=np.int64)}


def far(*groups: int) -> Callable[[Play], None]:
    def change(play: Play) -> None:
        play.updates |= {number: np.ones(WEIGHTS) for group in groups for number in play.groups()[group]}

    return change


def everything(play: Play) -> None:
    out_of_range(1)(play)
    far(4)(play)
    play.lost = {play.groups()[6][0]}


FAR = {"norm_bound": NORM_BOUND}
PROJECTED = {"projected": True}
LARGE = FAR | {"num_owners": 21, "most_owners": 21, "faulty_groups": 2, "accuse_seconds": 90, "answer_seconds": 1800, "prove_seconds": 200}
CASES: dict[str, tuple[Callable[[Play], None], dict[str, int], dict[str, tuple[int, ...]]]] = {
    # what is done, with which terms, and the fates of groups that are not accepted, but for those dropped among honest ones
    "honest": (lambda play: None, {}, {}),
    "attacking group": (attack, {}, {"dropped": (2,)}),
    "delivery lost": (lose_one, {}, {"waived": (2,)}),
    "everything lost": (lose_all, {}, {"waived": (0, 1, 2, 3, 4)}),
    "wrong vector": (deliver_another_vector((1, 0)), {}, {"waived": (1,)}),
    "wrong vectors of several groups": (deliver_another_vector((1, 0), (2, 0), (2, 1)), {}, {"waived": (1, 2)}),
    # A sum out of range is judged like any other, and never learnt from. In an exact market its distances are what the field makes of them.
    "unit just out of range": (out_of_range(1, value=-(2**18)), {}, {}),
    "unit far out of range": (out_of_range(1), {}, {"dropped": (1,)}),
    "unit far out of range, projected": (out_of_range(1), PROJECTED, {"dropped": (1,)}),
    "mask that does not cancel": (noise, {}, {"ineligible": (1,), "dropped": ()}),
    "mask that does not cancel, projected": (noise, PROJECTED, {"ineligible": (1,), "dropped": ()}),
    # At most f' groups may go unpaid, whatever they did: the market would refuse anything else. Waivers lower f'.
    "beyond the norm bound": (far(2), FAR, {"ineligible": (2,), "dropped": ()}),
    "more than f beyond the norm bound": (far(0, 2, 4), FAR, {"waived": (0, 2, 4), "dropped": ()}),
    "of everything, f' unpaid": (everything, LARGE, {"ineligible": (1,), "waived": (4, 6), "dropped": ()}),
}


@pytest.mark.parametrize("case", CASES)
def test_round_comes_to(tmp_path: Path, case: str) -> None:
    change, terms, expected = CASES[case]
    play = make_play(tmp_path, **terms)
    change(play)
    report, decision, task = play.run(NEXT)
    dropped = expected.get("dropped", report.dropped)
    assert {fate: getattr(report, fate) for fate in FATES} == dict.fromkeys(FATES, ()) | expected | {"dropped": dropped}
    unpaid = {*report.ineligible, *report.dropped}
    assert len(unpaid) <= report.tolerated <= play.scene.terms.faulty_groups
    assert set(report.accepted) == set(range(len(play.groups()))) - unpaid - set(report.waived)
    bad = {play.position_of(number) for number in play.units}
    assert set(report.learnt) <= set(report.accepted) - bad
    assert set(report.paid) == addresses(set(play.owners)) - addresses(members_of(play, unpaid))
    play.check_learnt(report, decision, task)
    assert play.scene.state.stage is Stage.ANCHORED


def members_of(play: Play, positions: Collection[int]) -> set[int]:
    return {number for position in positions for number in play.groups()[position]}


def test_accepted_mean_is_the_plain_mean_of_the_updates(play: Play) -> None:
    report, decision, _ = play.run()
    accepted = members_of(play, report.accepted)
    assert len(accepted) == 12
    plain = np.mean([honest_update(number) for number in accepted], axis=0)
    np.testing.assert_allclose(decision.mean, plain, rtol=0, atol=1 / (2**15 - 1))


def test_mean_of_groups_of_different_sizes_weighs_every_data_owner_the_same(tmp_path: Path) -> None:
    play = make_play(tmp_path, num_owners=17)
    report, decision, task = play.run()
    assert sorted(len(group) for group in report.roster) == [3, 3, 3, 4, 4]
    assert report.scale == 12
    play.check_learnt(report, decision, task)


def test_stated_examples_make_the_mean_that_of_fedavg(tmp_path: Path) -> None:
    """With numbers within half and twice the usual one; the sums of the market are those of the shares."""
    examples = [100 + 5 * number for number in range(17)]
    play = make_play(tmp_path, num_owners=17, examples=examples, usual_examples=140)
    play.updates = {number: honest_update(number) / 5 for number in play.owners}  # within everybody's limit
    report, decision, _ = play.run()
    accepted = sorted(members_of(play, report.accepted))
    fedavg = np.average([play.updates[number] for number in accepted], axis=0, weights=[examples[number] for number in accepted])
    np.testing.assert_allclose(decision.mean, fedavg, rtol=0, atol=1e-4)
    assert report.counts == tuple(sum(examples[number] for number in group) for group in play.groups())
    assert np.abs(decision.mean - np.mean([play.updates[number] for number in accepted], axis=0)).max() > 3e-4


def test_number_that_is_a_lie_moves_the_mean_no_further_than_twice_the_usual_one_does(tmp_path: Path) -> None:
    means = {}
    for stated in (200, 2**32 - 1):
        play = make_play(tmp_path / str(stated), examples=[stated, *[100] * 14], usual_examples=100)
        means[stated] = play.run()[1].mean
    np.testing.assert_allclose(means[200], means[2**32 - 1], rtol=0, atol=2e-4)


@pytest.mark.parametrize(("stated", "part"), [(50, 1.0), (100, 0.5), (200, 0.25), (0, 0.5)])
def test_how_far_a_data_owner_may_move_a_weight_depends_on_its_own_number_alone(tmp_path: Path, stated: int, part: float) -> None:
    """Or a peer's number would move it, and two sums tell what lies between."""
    clips = []
    for peers in (50, 200):
        play = make_play(tmp_path / str(peers), examples=[stated, *[peers] * 14], usual_examples=100)
        clips.append(play.owners[0].agent().admit(play.keeper.anchor(TASK)).clip)
    assert clips == [part * play.scene.terms.clip] * 2


def test_update_beyond_the_limits_is_cut_before_it_is_weighed(tmp_path: Path) -> None:
    examples = [100 + 5 * number for number in range(15)]
    play = make_play(tmp_path, examples=examples, usual_examples=140)
    play.updates = {number: np.full(WEIGHTS, 0.9) for number in play.owners}
    report, decision, _ = play.run()
    learnt = [play.scene.number_of(owner) for position in report.learnt for owner in report.roster[position]]
    cut = np.average([70 / examples[number] for number in learnt], weights=[examples[number] for number in learnt])
    np.testing.assert_allclose(decision.mean, cut * play.scene.terms.clip, rtol=0, atol=2e-4)
    assert decision.cut == (1.0, 1.0), "everybody's change of every weight"


def test_update_beyond_the_clip_counts_as_clipped(play: Play) -> None:
    play.updates = {number: 5.0 * np.sign(honest_update(0)) for number in play.owners}
    _, decision, _ = play.run()
    np.testing.assert_allclose(decision.mean, np.sign(honest_update(0)), rtol=0, atol=2**-15)


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
    assert play.keeper.anchor(TASK) == play.keeper.live.task == live_task(play.scene)
    before = play.scene.state.escrow_wei
    report, _, _ = play.run()
    state = play.scene.state
    assert state.owed_wei == len(report.paid) * play.scene.terms.reward_wei
    assert before - state.escrow_wei == state.owed_wei + play.scene.terms.bond_wei
    assert play.claimable() == {number: 1_000 if owner.address in report.paid else 0 for number, owner in play.owners.items()}
    assert len(report.distances) == 15
    assert set(report.seconds) == {"chain", "check", "prove", "sum"}
    assert all(seconds > 0 for seconds in report.seconds.values())


# Proofs that cannot be made


def groups_of(play: Play) -> tuple[list[GroupSum], bytes]:
    play.open_and_deliver(play.anchor_and_commit())
    return play.keeper._deliveries.group_sums(play.keeper.live, bytes(32)), play.keeper.live.roster_hash()


def test_group_that_cannot_be_proven_is_waived_alone(play: Play) -> None:
    groups, roster_hash = groups_of(play)
    trouble: list[str] = []
    off_curve = bytes(95) + b"\1"
    groups[3] = replace(groups[3], shown=(off_curve, *groups[3].shown[1:]))
    decision = decide(scheme_for(play.scene.terms), bytes(32), roster_hash, groups, on_trouble=trouble.append)
    assert (decision.waived, len(decision.accepted), len(trouble)) == ((3,), 4, 1)


def test_round_that_cannot_be_proven_even_without_anybody_is_told(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    groups, roster_hash = groups_of(play)
    monkeypatch.setattr(scheme_module, "prove", failing(RuntimeError("no prover")))
    with pytest.raises(RuntimeError, match="no prover"):
        decide(scheme_for(play.scene.terms), bytes(32), roster_hash, groups)


# What is learnt, whatever the contract accepted


@pytest.mark.parametrize("projected", [False, True], ids=["exact", "projected"])
@pytest.mark.parametrize("attack", [HalfOutOfRange(5), Isotropic(5, 6)], ids=["a half off by 2^42", "a pair (x, i x)"])
def test_what_reads_as_distance_0_is_paid_and_never_learnt_from(tmp_path: Path, attack: VectorAttack, projected: bool) -> None:
    """In an exact market, where all groups agree in its places: the square of 2^42 is 2^84, which the lower half of V does not have, and
    x^2 + (i x)^2 = 0 modulo r, for i a square root of -1. A projection meets other places, so that both come out far off.
    """
    play = make_play(tmp_path, outlier_percent=150, projected=projected)
    for number in play.owners:
        play.units[number] = np.random.default_rng(number).integers(-3, 4, 8192)
        play.units[number][10:14] = 0
    honest, _, _ = play.run(NEXT)
    play.attacks = {play.groups()[1][0]: attack}
    report, _, _ = play.run(None, NEXT)
    if projected:
        assert (report.accepted, report.dropped + report.ineligible) == ((0, 2, 3, 4), (1,))
    else:
        assert report.distances == honest.distances, "the contract reads what it would read without the attack"
        assert (report.accepted, set(report.paid)) == ((0, 1, 2, 3, 4), addresses(play.owners))
    assert report.learnt == (0, 2, 3, 4)


def test_group_that_only_the_exact_sums_show_to_be_far_out_is_paid_and_not_learnt_from(tmp_path: Path) -> None:
    play = make_play(tmp_path, outlier_percent=125)
    attack(play)
    groups, roster_hash = groups_of(play)
    groups[2] = replace(groups[2], proven=groups[1].proven, shown=groups[1].shown)  # what is proven of it looks good
    decision = decide(scheme_for(play.scene.terms), bytes(32), roster_hash, groups)
    assert (decision.accepted, decision.learnt) == ((0, 1, 2, 3, 4), (0, 1, 3, 4))


def test_groups_out_of_range_leave_the_others_fewer_that_may_be_far_out(play: Play) -> None:
    """With five groups one may be too far from zero, with four none: those that are too far are still not learnt from."""
    play.updates = {number: np.ones(WEIGHTS) for number in play.groups()[3]}
    groups, roster_hash = groups_of(play)
    out_of_range = FieldVector.from_ints([2**100] * 4096)
    groups[1] = replace(groups[1], units=scheme_for(play.scene.terms).read(out_of_range, members=len(groups[1].digests)))
    decision = decide(scheme_for(replace(play.scene.terms, norm_bound=NORM_BOUND)), bytes(32), roster_hash, groups)
    assert (decision.ineligible, decision.learnt) == ((3,), (0, 2, 4))
