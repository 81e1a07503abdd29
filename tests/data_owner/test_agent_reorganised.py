"""One mask, one vector: whatever the chain forgets, whoever has the account, and whatever a home has lost."""

from __future__ import annotations

import shutil
from pathlib import Path

from omnilytics_flwr.market.roster import bits_of
from tests.data_owner.owners import Owner, anchor, assert_refused, lone_owner, lone_task, market_id, next_epoch, open_with


def test_same_task_anchored_again_gets_the_same_digest_signed_for_its_new_deadline(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    before = scene.world.snapshot()
    first = owner.commit(anchor(scene))
    first_deadline = scene.state.open_by
    scene.world.restore(before)
    scene.world.timestamp += 7
    task = anchor(scene)
    assert scene.state.open_by == first_deadline + 7
    again = owner.commit(task, 1)
    assert again == owner.agent().admit(task).commitment
    assert again.digest == first.digest
    assert again.signature != first.signature
    assert owner.deliver(task, open_with(scene, again)).vector, "the market has checked the signature"


def test_round_that_opens_again_after_its_opening_was_forgotten_gets_the_same_vector(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    commitment, before, vectors = owner.commit(task), scene.world.snapshot(), set()
    for _ in range(2):
        scene.world.restore(before)
        vectors.add(owner.deliver(task, open_with(scene, commitment)).vector)
    assert len(vectors) == 1


def test_draw_that_came_out_otherwise_the_second_time_is_refused(tmp_path: Path) -> None:
    """The group's members may even be the same: masks made from another seed do not cancel with the old vector's."""
    scene, owner = lone_owner(tmp_path)
    before = scene.world.snapshot()
    owner.commit(anchor(scene))
    scene.world.restore(before)
    scene.market.storage.epoch_seed = b"\2" * 32
    assert_refused(owner.agent(), anchor(scene), "for masks or shares that are no longer these")


def test_vector_that_is_deleted_is_not_signed_for_again(tmp_path: Path) -> None:
    """It could not be delivered, and its owner would lose its stake."""
    scene, owner = lone_owner(tmp_path)
    before = scene.world.snapshot()
    owner.commit(anchor(scene))
    anchor(scene)
    owner.agent().tidy()
    scene.world.restore(before)
    assert_refused(owner.agent(), anchor(scene), "committed before the chain was reorganised")


def test_vector_of_a_round_that_the_chain_forgot_is_kept(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    before = scene.world.snapshot()
    owner.commit(anchor(scene))
    scene.world.restore(before)
    assert scene.state.round == 0
    owner.agent().tidy()
    assert owner.journal.entries()[0].vector


def second_home(owner: Owner) -> Owner:
    return Owner(owner.scene, owner.number, owner.folder / "second", owner.policy)


def test_second_home_of_the_same_account_is_refused(tmp_path: Path) -> None:
    scene, first, task = lone_task(tmp_path)
    second = second_home(first)
    second.keys.mask_key(market_id(scene), 1)
    second.journal.note_joined(task.chain_id, task.market, 1, 0)
    assert_refused(second.agent(), task, "has joined from another home")
    assert first.commit(task).digest


def test_home_that_enrolled_last_works_in_the_next_epoch_and_the_other_does_not(tmp_path: Path) -> None:
    scene, first = lone_owner(tmp_path)
    second = second_home(first)
    first.agent().join()
    next_epoch(scene, {0: second})
    task = anchor(scene)
    assert_refused(first.agent(), task, "has joined from another home")
    assert second.commit(task).owner == first.address


def test_home_that_lost_its_journal_is_refused_until_the_next_epoch(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    owner.commit(task)
    shutil.rmtree(owner.folder / "journal")
    assert_refused(owner.agent(), task, "the journal of this home knows nothing of epoch 1")
    next_epoch(scene, {0: owner})
    assert owner.commit(anchor(scene), 1).digest


def test_group_with_two_equal_mask_keys_is_refused(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    keys, seat = scene.market.storage.mask_keys, scene.market.owner_record(owner.address).seat
    group = next(seats for seats in map(bits_of, scene.market.storage.groups) if seat in seats)
    one, other = (peer for peer in group if peer != seat)
    for thief, victim in ((one, seat), (other, one)):
        own, keys[thief] = keys[thief], keys[victim]
        assert_refused(owner.agent(), task, f"{scene.market.storage.seat_owners[thief]}.* have the same mask key in epoch 1")
        keys[thief] = own
    assert owner.commit(task).digest
