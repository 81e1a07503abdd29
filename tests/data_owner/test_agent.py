"""The owner agent: one commitment in a round, for the anchored task, in a group that may see it; nothing is kept too long."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import numpy as np
import pytest

from omnilytics_flwr.crypto.curve import parse_points
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.fixedpoint import decode_mean, unpack
from omnilytics_flwr.crypto.kzg import Sketch, mismatched
from omnilytics_flwr.data_owner import local_agent
from omnilytics_flwr.data_owner.client_state import ClientState
from omnilytics_flwr.data_owner.local_agent import LocalAgent
from omnilytics_flwr.data_owner.masked_vector import mask_pieces
from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.errors import Malformed, OutOfTurn, Refused, TaskMismatch, UpdateError
from omnilytics_flwr.files import locked
from omnilytics_flwr.market.ledger import DataOwnerLedger
from omnilytics_flwr.market.stage import Stage
from tests.data_owner.owners import (
    TASK,
    WEIGHTS,
    Owner,
    anchor,
    assert_refused,
    lone_owner,
    lone_task,
    make_owners_scene,
    make_wallet,
    market_id,
    next_epoch,
    open_with,
    update_of,
)
from tests.support.builders import STRANGER, Scene, address_of, make_scene


def test_group_of_deliveries_sums_to_the_group_of_updates(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=range(15))
    task = anchor(scene)
    commitments = [owner.commit(task, owner.number) for owner in owners.values()]
    digests = open_with(scene, *commitments)
    group = scene.owners_of(0b10)
    deliveries = [owners[n].deliver(task, digests) for n in group]
    vectors = [FieldVector.from_bytes(delivery.vector, 4096) for delivery in deliveries]
    points = [parse_points(delivery.points, 1) for delivery in deliveries]
    assert not mismatched([Sketch.of([vector], row) for vector, row in zip(vectors, points, strict=True)])
    assert {points_digest(delivery.points) for delivery in deliveries} < set(digests)
    for vector in vectors:
        assert unpack(vector, members=1, bits=16) is None
    total = FieldVector.total(vectors)
    units = unpack(total, members=3, bits=16)
    assert units is not None
    mean = decode_mean(units, members=3, weights=WEIGHTS, bits=16, clip=1.0)
    np.testing.assert_allclose(mean, np.mean([update_of(n) for n in group], axis=0), rtol=0, atol=1 / (2**15 - 1))


def test_commit_again_gives_the_same_whoever_asks(tmp_path: Path) -> None:
    _, owner, task = lone_task(tmp_path)
    first = owner.commit(task)
    assert owner.commit(task, 1) == first
    assert owner.agent().admit(task).commitment == first
    assert len(owner.journal.entries()) == 1


def test_commit_by_several_at_once_makes_one_commitment(tmp_path: Path) -> None:
    _, owner, task = lone_task(tmp_path)
    works: list[list[str]] = []
    agents = [owner.agent(lambda task, steps: works.append([*steps])) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        commitments = list(pool.map(lambda number: agents[number].commit(task, update_of(number)), range(4)))
    assert len({(c.digest, c.signature) for c in commitments}) == 1
    assert works == [["quantise", "mask", "commit", "journal", "sign"]]


def test_disk_without_room_for_a_round_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, owner, task = lone_task(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Mock(free=3 * 131_072))
    with pytest.raises(Refused, match="the owner home has too little room: a round may take 1 MB"):
        owner.agent().admit(task)


def test_commit_holds_no_lock_while_it_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to accusations, and homes with the same data set, would wait for it."""
    _, owner, task = lone_task(tmp_path)

    def computed(*arguments: Any) -> tuple[bytes, bytes]:
        with locked(owner.folder / "journal" / ".lock", if_held=Refused("held")):
            return mask_pieces(*arguments)

    monkeypatch.setattr(local_agent, "mask_pieces", computed)
    owner.commit(task)


def test_commit_the_same_update_in_two_rounds_gives_different_vectors(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    assert owner.commit(task).digest != owner.commit(anchor(scene)).digest


def test_commit_another_task_in_the_same_round_is_refused(tmp_path: Path) -> None:
    """A market never anchors twice under one number; a chain that forgot a block does."""
    scene, owner = lone_owner(tmp_path)
    before = scene.world.snapshot()
    owner.commit(anchor(scene))
    scene.world.restore(before)
    assert_refused(owner.agent(), anchor(scene, replace(TASK, arrays=b"\7" * 32)), "a mask is used once")


def test_commit_a_task_that_is_not_anchored_is_refused_and_leaves_no_entry(tmp_path: Path) -> None:
    _, owner, task = lone_task(tmp_path)
    for other, error in (
        (replace(task, task_hash=b"\5" * 32), TaskMismatch),
        (replace(task, round=2), OutOfTurn),
        (replace(task, epoch=2), OutOfTurn),
        (replace(task, chain_id=1), Refused),
        (replace(task, market=address_of(STRANGER)), Refused),
    ):
        for ask in (owner.agent().admit, owner.agent().admit_evaluation, lambda t: owner.commit(t)):
            with pytest.raises(error):
                ask(other)
    assert not owner.journal.entries()


@pytest.mark.parametrize(
    ("update", "reason"), [(np.zeros(WEIGHTS - 1), "shape"), (np.full(WEIGHTS, np.nan), "nan"), (np.full(WEIGHTS, -np.inf), "inf")]
)
def test_commit_unusable_update_is_a_named_error_and_the_next_try_commits(tmp_path: Path, update: np.ndarray, reason: str) -> None:
    _, owner, task = lone_task(tmp_path)
    with pytest.raises(UpdateError, match=reason):
        owner.agent().commit(task, update)
    assert not owner.journal.entries()
    owner.commit(task)


def test_commit_that_cannot_be_written_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, owner, task = lone_task(tmp_path)
    monkeypatch.setattr(os, "replace", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        owner.commit(task)


def test_commit_without_its_mask_key_is_refused(tmp_path: Path) -> None:
    _, owner, task = lone_task(tmp_path)
    owner.mask_files[0].unlink()
    assert_refused(owner.agent(), task, r"another mask key for .* in epoch 1 than this home has", evaluation=True)
    assert not owner.journal.entries()
    assert not owner.mask_files, "a new key would be of no use"


def test_damaged_journal_refuses_everything(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    digests = open_with(scene, owner.commit(task))
    (path,) = (owner.folder / "journal").glob("*.entry")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Malformed, match="is damaged"):
        owner.deliver(task, digests)
    scene.time_out()
    with pytest.raises(Malformed, match="is damaged"):
        owner.commit(anchor(scene))


@pytest.mark.parametrize("computed", [False, True])
def test_vector_is_kept_while_the_round_is_live_and_emptied_after(tmp_path: Path, computed: bool) -> None:
    scene, owner, task = lone_task(tmp_path, computed=computed, policy={"public-sums": computed})
    digests = open_with(scene, commitment := owner.commit(task))
    length = len(owner.journal.entries()[0].vector)
    assert (length < 10_000) if computed else (length == 131_072)
    assert [len(owner.deliver(task, digests).vector) for _ in range(2)] == [length] * 2
    scene.time_out()
    owner.agent().tidy()
    (entry,) = owner.journal.entries()
    assert (entry.vector, entry.points, entry.digest) == (b"", b"", commitment.digest)


def test_vector_is_emptied_when_the_task_is_anchored_again(tmp_path: Path) -> None:
    scene, owner, first = lone_task(tmp_path)
    owner.commit(first)
    owner.commit(second := anchor(scene))
    assert [(entry.task, bool(entry.vector)) for entry in owner.journal.entries()] == [(first, False), (second, True)]


def test_mask_key_is_forgotten_after_its_epoch(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    owner.commit(task)
    next_epoch(scene, {0: owner})
    for epochs in ((1, 2), (2,)):
        assert [path.name for path in owner.mask_files] == [f"mask-{market_id(scene)}-{epoch:010d}.key" for epoch in epochs]
        owner.agent(**{"most-peer-sets": 2}).commit(anchor(scene), update_of(0))


def test_mask_keys_are_forgotten_when_the_market_is_closed(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    owner.agent().join()
    assert len(owner.mask_files) == 2, "this epoch's and the next one's"
    scene.ledger().close()
    owner.agent().tidy()
    assert not owner.mask_files


def test_mask_key_of_the_present_epoch_is_forgotten_once_its_owner_has_departed(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    ledger = scene.ledger(0)
    ledger.leave()
    owner.agent().tidy()
    assert owner.mask_files, "it may still have to answer"
    scene.world.timestamp = ledger.owner_record(owner.address).leave_at
    ledger.depart(owner.address)
    owner.agent().tidy()
    assert not owner.mask_files


@pytest.mark.parametrize("stage", [Stage.ANCHORED, Stage.OPEN])
def test_vector_is_emptied_when_its_time_is_over_though_nobody_ends_the_round(tmp_path: Path, stage: Stage) -> None:
    scene, owner, task = lone_task(tmp_path)
    commitment, last = owner.commit(task), scene.state.open_by + scene.terms.round_seconds
    if stage is Stage.OPEN:
        open_with(scene, commitment)
        last = scene.state.settle_by
    for now, kept in ((last, True), (last + 1, False)):
        scene.world.timestamp = now
        owner.agent().tidy()
        assert bool(owner.journal.entries()[0].vector) == kept
    assert scene.state.stage is stage


def test_error_names_what_was_asked_and_what_the_stage_takes(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    agent, later = owner.agent(), replace(task, round=2)
    wanted = "train in round 1 of epoch 1, evaluate in round 1 of epoch 1"
    for ask, event in ((agent.admit, "train"), (agent.admit_evaluation, "evaluate")):
        with pytest.raises(OutOfTurn, match=f"^{event} in round 2 of epoch 1 is not allowed in stage anchored; allowed now: {wanted}$"):
            ask(later)
    digests = open_with(scene, owner.commit(task))
    with pytest.raises(OutOfTurn, match=r"^deliver in round 1 of epoch 2 is not .* stage open; .*: deliver in round 1 of epoch 1$"):
        owner.deliver(replace(task, epoch=2), digests)


def test_owner_outside_the_epoch_is_refused(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0], num_owners=16)
    for number in range(1, 16):
        scene.join(number)
    scene.freeze_and_draw()
    task = anchor(scene)
    for ask in (owners[0].agent().admit, owners[0].agent().admit_evaluation):
        with pytest.raises(Refused, match="is not of epoch 2; join"):
            ask(task)


class Freezing:
    """A ledger on which the members are frozen while a data owner's enrolment is under way."""

    def __init__(self, scene: Scene, ledger: DataOwnerLedger) -> None:
        self._scene, self._ledger, self.joins = scene, ledger, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def join(self, *arguments: Any, **options: Any) -> Any:
        self.joins += 1
        if self.joins == 1:
            self._scene.ledger().freeze()
        return self._ledger.join(*arguments, **options)


def test_join_while_members_are_frozen_enrols_with_the_key_of_the_epoch_that_it_is_for(tmp_path: Path) -> None:
    scene = make_scene(16)
    scene.join(*range(1, 16))
    owner = Owner(scene, 0, tmp_path, Policy(least_draw_delay_blocks=2))
    ledger = Freezing(scene, scene.ledger(0))
    agent = LocalAgent(
        ledger=cast("DataOwnerLedger", ledger),
        signer=make_wallet(0),
        keys=owner.keys,
        journal=owner.journal,
        client_state=ClientState(tmp_path / "client"),
        policy=Policy(least_draw_delay_blocks=2),
    )
    agent.join()
    assert ledger.joins == scene.state.epoch + 1 == 2
    seat = scene.market.owner_record(owner.address).seat
    assert scene.market.storage.next_mask_keys[seat] == owner.keys.mask_key(market_id(scene), 2).public
