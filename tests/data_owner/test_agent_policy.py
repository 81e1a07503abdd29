"""The operator's policy and the model owner's means, as the agent asks about them for every task."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any
from unittest.mock import Mock

import pytest

from omnilytics_flwr.data_owner.journal import Entry, Journal
from omnilytics_flwr.errors import OutOfTurn, Refused
from omnilytics_flwr.market.roster import bits_of
from omnilytics_flwr.market.stage import Stage
from tests.data_owner.owners import (
    TASK,
    Owner,
    anchor,
    assert_refused,
    live_task,
    lone_owner,
    lone_task,
    make_owners_scene,
    next_epoch,
    open_with,
    update_of,
)
from tests.support.builders import STRANGER, VERIFICATION, DictatedVerification, Scene, address_of


def test_most_rounds_are_counted_by_the_journal(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    for _ in range(2):
        owner.agent(**{"most-rounds": 2}).commit(anchor(scene), update_of(0))
    task = anchor(scene)
    assert_refused(owner.agent(**{"most-rounds": 2}), task, "this would be round 3 of this market, at most 2 allowed")
    owner.agent(**{"most-rounds": 3}).commit(task, update_of(0))


def test_most_peer_sets_allow_the_same_group_and_refuse_another(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    once = owner.agent(**{"most-peer-sets": 1})
    for _ in range(2):
        once.commit(anchor(scene), update_of(0))
    next_epoch(scene, {0: owner})
    task = anchor(scene)
    assert_refused(once, task, "these would be 2 different groups for one data set, at most 1 allowed")
    owner.agent(**{"most-peer-sets": 2}).commit(task, update_of(0))
    assert len({entry.peers_hash for entry in owner.journal.entries()}) == 2


WEIGHED = {"group_size": 4, "num_owners": 20, "most_owners": 20, "usual_examples": 300}


def test_data_set_that_counted_otherwise_is_summed_no_more_whatever_the_policy(tmp_path: Path) -> None:
    """The model owner's two sums of the same updates, of which one weighs otherwise, would tell it from the others."""
    scene, owner = lone_owner(tmp_path, examples=[300], **WEIGHED)
    owner.agent().commit(anchor(scene), update_of(0))
    owner.examples = 330
    with pytest.raises(Refused, match="this data set counted 300 in earlier commitments, and would count 330 here"):
        owner.agent(**{"most-peer-sets": 100}).join()
    owner.examples = 300
    owner.agent().join()


def test_number_that_the_node_shows_and_the_home_has_not_stated_is_refused(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path, examples=[300], **WEIGHED)
    scene.market.storage.examples[scene.market.owner_record(owner.address).seat] = 330
    assert_refused(owner.agent(), anchor(scene), "the market lists 330 examples for .* in epoch 1, which this home has not stated")


def test_join_that_came_too_late_to_change_the_number_locks_nobody_out(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path, examples=[300], **WEIGHED)
    owner.journal.note_joined(scene.world.chain_id, scene.market.address, 1, 330)
    owner.agent().commit(anchor(scene), update_of(0))


def test_number_of_examples_is_that_of_a_data_set_and_not_of_a_home(tmp_path: Path) -> None:
    scene, (first, second) = homes_in_two_groups(tmp_path, usual_examples=300, examples=[300])
    task = anchor(scene)
    first.agent().commit(task, update_of(0))
    second.examples = 600
    with pytest.raises(Refused, match="counted 300 in earlier commitments, and would count 600"):
        second.agent().join()


def test_group_whose_peers_state_other_numbers_than_before_is_refused(tmp_path: Path) -> None:
    """Only a node that lies can show that within an epoch; shares that it changes for one member alone tell that member's update."""
    scene, owner = lone_owner(tmp_path, **WEIGHED)
    owner.agent().commit(anchor(scene), update_of(0))
    seats = next(group for group in scene.market.storage.groups if group >> scene.market.owner_record(owner.address).seat & 1)
    peer = next(seat for seat in bits_of(seats) if scene.market.storage.seat_owners[seat] != owner.address)
    scene.market.storage.examples[peer] = 500
    assert_refused(owner.agent(), anchor(scene), "of this data owner's group, counted 300 in .* would count 500 here")


def test_peers_of_one_data_set_count_the_same_beside_all_its_homes(tmp_path: Path) -> None:
    """Two markets of the same people, of whom one has no such folder and states another number: their sums would tell its peers'."""
    scene, (first, second) = homes_in_two_groups(tmp_path, usual_examples=300)
    first.agent().commit(anchor(scene), update_of(0))
    (tmp_path / "data" / "notes.count").touch()
    (entry,) = first.journal.entries()
    assert first.journal.counts([]) == second.journal.counts([]) == {("", 300), *((peer, 300) for peer in entry.peer_counts)}
    peer = next(iter(entry.peer_counts))
    (tmp_path / "data" / f"{peer}-600.count").touch()  # as another home would note it
    assert_refused(first.agent(), anchor(scene), f"{peer}, of this data owner's group, counted 600 in .* would count 300 here")


def homes_in_two_groups(folder: Path, **options: Any) -> tuple[Scene, tuple[Owner, Owner]]:
    """Two homes of one operator whose data owners are in different groups, with the same data."""
    scene, owners = make_owners_scene(folder, real=range(15), **options)
    first = owners[0]
    group = next(group for group in scene.market.storage.groups if group >> scene.market.owner_record(first.address).seat & 1)
    second = next(owner for owner in owners.values() if not group >> scene.market.owner_record(owner.address).seat & 1)
    first.data_set = second.data_set = folder / "data"
    return scene, (first, second)


def test_peer_sets_are_counted_for_all_homes_with_one_data_set(tmp_path: Path) -> None:
    scene, (first, second) = homes_in_two_groups(tmp_path)
    task = anchor(scene)
    first.agent(**{"most-peer-sets": 1}).commit(task, update_of(0))
    assert_refused(second.agent(**{"most-peer-sets": 1}), task, "these would be 2 different groups for one data set, at most 1 allowed")
    second.agent(**{"most-peer-sets": 2}).commit(task, update_of(1))
    second.data_set = None
    assert len(second.journal.peer_sets(second.journal.entries())) == 1, "a home by itself knows of its own groups only"


def test_homes_with_one_data_set_that_commit_at_once_are_counted_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, (first, second) = homes_in_two_groups(tmp_path)
    task, counted, both = anchor(scene), Journal.peer_sets, Barrier(2)

    def count_and_wait(journal: Journal, entries: Iterable[Entry]) -> set[bytes]:
        found = counted(journal, entries)
        with suppress(BrokenBarrierError):  # one that is alone here has the count to itself
            both.wait(0.5)
        return found

    def commit(owner: Owner) -> bool:
        try:
            owner.agent(**{"most-peer-sets": 1}).commit(task, update_of(0))
        except Refused:
            return False
        return True

    monkeypatch.setattr(Journal, "peer_sets", count_and_wait)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(commit, (first, second))) == [False, True]
    assert len(counted(first.journal, first.journal.entries())) == 1


def test_group_without_enough_known_peers_is_refused_before_training(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    seat = scene.market.owner_record(owner.address).seat
    group = next(group for group in scene.market.storage.groups if group >> seat & 1)
    peers = [scene.market.storage.seat_owners[one] for one in bits_of(group) if one != seat]
    for known, enough in (([], 0), (peers[:1], 1), (peers, 2)):
        listed = {"known-peers": [*known, owner.address, address_of(STRANGER)]}
        assert owner.agent(**listed, **{"least-known-peers": enough}).admit(task).commitment is None
        more = owner.agent(**listed, **{"least-known-peers": enough + 1})
        assert_refused(more, task, f"{enough} known data owners in this group, at least {enough + 1} wanted")
    assert not owner.journal.entries()


def test_after_so_many_commitments_in_a_row_that_paid_nothing_there_is_no_other(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path, verification=DictatedVerification())
    patient = {"most-unpaid-rounds": 2}

    def work(*, paid: bool) -> None:
        commitment = owner.agent(**patient).commit(anchor(scene), update_of(0))
        if paid:
            open_with(scene, commitment)
            scene.time_out()

    for paid in (False, True, False, False):
        work(paid=paid)
    assert_refused(owner.agent(**patient), anchor(scene), "the last 2 rounds in which this data owner committed paid it nothing")
    owner.agent(**{"most-unpaid-rounds": 3}).commit(anchor(scene), update_of(0))


def test_public_sums_are_refused_before_a_stake_is_paid_unless_they_are_allowed(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path, computed=True, policy={"public-sums": True})
    task, careful = anchor(scene), owner.agent(**{"public-sums": False})

    assert_refused(careful, task, "its verification shows everybody the sum of each group")
    with pytest.raises(Refused, match="public-sums = true"):
        careful.join()
    assert not owner.journal.entries()
    owner.commit(task)


def test_evaluation_is_admitted_once_after_a_settled_round(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path, verification=DictatedVerification())
    with pytest.raises(Refused, match="follow a settled round, and there is none before it"):
        owner.agent().admit_evaluation(anchor(scene))
    scene.open()
    scene.settle(next_task=TASK.task_hash(2))
    assert owner.agent().admit_evaluation(live_task(scene)) == scene.terms.metrics
    with pytest.raises(Refused, match="round 2 is evaluated already"):
        owner.agent().admit_evaluation(live_task(scene))
    with pytest.raises(OutOfTurn, match="evaluate before round 2 is seen to have paid somebody"):
        owner.agent().admit_evaluation(anchor(scene))


def test_evaluation_after_a_round_that_timed_out_is_refused_though_it_paid(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path, verification=DictatedVerification())
    scene.open()
    scene.time_out()
    task = anchor(scene)
    assert scene.market.paid_seats(1)
    with pytest.raises(Refused, match="evaluations follow a settled round, and round 1 timed out"):
        owner.agent().admit_evaluation(task)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"chain-ids": [1]}, "policy refuses chain 31337"),
        ({"markets": [VERIFICATION]}, "it is not among those allowed"),
        ({"least-group-size": 5}, "groups of 3, at least 5 wanted"),
    ],
)
def test_policy_refuses_to_join_and_to_work(tmp_path: Path, policy: dict[str, object], reason: str) -> None:
    scene, owner = lone_owner(tmp_path)
    task, strict = anchor(scene), owner.agent(**policy)
    before = scene.state
    for ask in (strict.join, lambda: strict.admit(task), lambda: strict.admit_evaluation(task), lambda: strict.commit(task, update_of(0))):
        with pytest.raises(Refused, match=reason):
            ask()
    assert scene.state == before
    assert not owner.journal.entries()


def test_agent_that_is_not_ready_refuses_commitments_and_delivers_all_the_same(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    agent = owner.agent(check_ready=Mock(side_effect=Refused("nobody would answer")))
    assert_refused(agent, task, "nobody would answer")
    assert not owner.journal.entries()
    digests = open_with(scene, owner.commit(task))
    assert agent.deliver(task.chain_id, task.market, task.epoch, task.round, digests).vector


def test_who_leaves_commits_to_nothing_that_could_hold_its_stake_longer(tmp_path: Path) -> None:
    """A task anchored before the notice ends in time whatever the model owner does; any later one does not."""
    scene, owner, task = lone_task(tmp_path, num_owners=15)
    scene.world.wait(5)
    scene.ledger(0).leave()
    leave_at = scene.market.owner_record(owner.address).leave_at
    commitment = owner.commit(task)
    assert scene.state.open_by + scene.terms.round_seconds <= leave_at
    scene.world.timestamp = scene.state.open_by
    open_with(scene, commitment)
    scene.time_out()
    assert scene.world.timestamp <= leave_at + 1
    assert_refused(owner.agent(), anchor(scene), f"leaves and may depart at {leave_at}")
    scene.world.timestamp = leave_at
    scene.ledger(0).depart(owner.address)


def test_bond_that_is_paid_already_is_not_asked_for_again(tmp_path: Path) -> None:
    rewards_wei = 15 * 1_000
    scene, owner, task = lone_task(tmp_path, escrow_wei=10_007 + 2 * rewards_wei)
    open_with(scene, owner.commit(task))
    assert (scene.state.bond_wei, scene.state.escrow_wei) == (10_007, 2 * rewards_wei)
    # The round is over unpaid as far as this test goes: what is left is just enough, and then one wei too little.
    storage = scene.market.storage
    storage.stage, storage.roster, storage.escrow_wei = Stage.IDLE, 0, rewards_wei
    task = anchor(scene)
    owner.agent().admit(task)
    storage.escrow_wei -= 1
    assert_refused(owner.agent(), task, "the escrow holds 14999 wei, paying everybody takes 15000")
