"""One mask, one vector: whatever the chain forgets, whoever has the account, and whatever a home has lost."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from omnilytics_flwr.errors import Refused
from omnilytics_flwr.market.commitment_message import Commitment, recover
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address
from tests.data_owner.owners import (
    TASK,
    Owner,
    anchor,
    assert_refused,
    live_task,
    lone_owner,
    make_owners_scene,
    market_id,
    next_epoch,
    open_with,
)
from tests.support.builders import Scene


def signer_of(scene: Scene, task: TaskId, digest: bytes, signature: bytes) -> Address:
    """Who signed a digest for the live round's deadline."""
    message = Commitment(task.epoch, task.round, task.task_hash, digest, scene.state.open_by)
    return recover(message.signing_hash(chain_id=scene.world.chain_id, market=scene.market.address), signature)


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
    assert signer_of(scene, task, again.digest, again.signature) == owner.address
    digests = open_with(scene, again)
    assert owner.deliver(task, digests).vector


def test_round_that_opens_again_after_its_opening_was_forgotten_gets_the_same_vector(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    task = anchor(scene)
    commitment = owner.commit(task)
    before = scene.world.snapshot()
    vectors = set()
    for _ in range(2):
        scene.world.restore(before)
        digests = open_with(scene, commitment)
        vectors.add(owner.deliver(task, digests).vector)
        assert owner.deliver(task, digests).vector in vectors
    assert len(vectors) == 1


def test_another_task_in_the_place_of_a_forgotten_one_is_refused(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    before = scene.world.snapshot()
    owner.commit(anchor(scene))
    scene.world.restore(before)
    other = anchor(scene, replace(TASK, arrays=b"\7" * 32))
    assert_refused(owner.agent(), other, "a mask is used once")


def test_draw_that_came_out_otherwise_the_second_time_is_refused(tmp_path: Path) -> None:
    """The group's members may even be the same: masks made from another seed do not cancel with the old vector's."""
    scene, owners = make_owners_scene(tmp_path, real=[0])
    scene.market.storage.epoch_seed = b"\1" * 32
    before = scene.world.snapshot()
    owners[0].commit(anchor(scene))
    scene.world.restore(before)
    scene.market.storage.epoch_seed = b"\2" * 32
    task = anchor(scene)
    assert_refused(owners[0].agent(), task, "for masks that are no longer these")


def test_vector_that_is_deleted_is_not_signed_for_again(tmp_path: Path) -> None:
    """It could not be delivered, and its owner would lose its stake."""
    scene, owner = lone_owner(tmp_path)
    before = scene.world.snapshot()
    owner.commit(anchor(scene))
    anchor(scene)
    owner.agent().tidy()
    scene.world.restore(before)
    task = anchor(scene)
    assert_refused(owner.agent(), task, "committed before the chain was reorganised")


def test_vector_of_a_round_that_the_chain_forgot_is_kept(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    before = scene.world.snapshot()
    owner.commit(anchor(scene))
    scene.world.restore(before)
    assert scene.state.round == 0
    owner.agent().tidy()
    assert owner.journal.entries()[0].vector


def test_second_home_of_the_same_account_is_refused(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    first, second = owners[0], Owner(scene, 0, tmp_path / "second", owners[0].policy)
    task = anchor(scene)
    second.keys.mask_key(market_id(scene), 1)
    second.journal.note_joined(task.chain_id, task.market, 1)
    assert_refused(second.agent(), task, "has joined from another home")
    assert first.commit(task).digest


def test_home_that_enrolled_last_works_in_the_next_epoch_and_the_other_does_not(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    first, second = owners[0], Owner(scene, 0, tmp_path / "second", owners[0].policy)
    first.agent().join()
    next_epoch(scene, {0: second})
    task = anchor(scene)
    with pytest.raises(Refused, match="has joined from another home"):
        first.agent().admit(task)
    assert second.commit(task).owner == first.address


def test_home_that_lost_its_journal_is_refused_until_the_next_epoch(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    owner = owners[0]
    task = anchor(scene)
    owner.commit(task)
    shutil.rmtree(owner.folder / "journal")
    assert_refused(owner.agent(), task, "the journal of this home knows nothing of epoch 1")
    next_epoch(scene, owners)
    assert owner.commit(anchor(scene), 1).digest


def test_group_with_two_equal_mask_keys_is_refused(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    mine = owner.keys.mask_key(market_id(scene), 1).public
    seat = scene.market.owner_record(owner.address).seat
    seats = next(group for group in scene.market.storage.groups if group >> seat & 1)
    others = [member for member in scene.market.members() if seats >> member.seat & 1 and member.seat != seat]
    task = anchor(scene)
    keys = {member.seat: member.mask_key for member in others}
    for twin, key in ((others[0], mine), (others[1], others[0].mask_key)):
        scene.market.storage.mask_keys[twin.seat] = key
        for ask in (lambda: owner.agent().admit(task), lambda: owner.commit(task)):
            with pytest.raises(Refused, match="have the same mask key in epoch 1") as refusal:
                ask()
            assert twin.owner in str(refusal.value)
        scene.market.storage.mask_keys[twin.seat] = keys[twin.seat]
    assert owner.commit(task).digest
    assert live_task(scene) == task
