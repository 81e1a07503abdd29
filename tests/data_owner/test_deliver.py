"""A vector leaves for the roster that the chain shows, while it is of use; in a projected market with one signed projection of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.crypto.projection import project, projection_seed
from omnilytics_flwr.data_owner.signed_projection import sign_projection
from omnilytics_flwr.errors import Refused, TaskMismatch
from omnilytics_flwr.market.messages import Delivery, recover
from omnilytics_flwr.market.roster import bitmap_of, roster_hash
from omnilytics_flwr.market.task import TaskId
from tests.data_owner.owners import Owner, anchor, lone_task, make_owners_scene, open_with
from tests.oracle import MemoryLedger
from tests.support.builders import DictatedVerification, Scene


def seat_of(scene: Scene, owner: Owner) -> int:
    return scene.market.owner_record(owner.address).seat


def test_delivery_of_a_projected_market_is_signed_for_the_open_roster_alone(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path, projected=True)
    digests = open_with(scene, owner.commit(task))
    delivery = owner.deliver(task, digests)
    assert delivery.projected == projection_of(scene, task, delivery.vector)
    message = Delivery(task.epoch, task.round, task.task_hash, scene.state.roster_hash, points_digest(delivery.projected))
    assert recover(message.signing_hash(chain_id=task.chain_id, market=scene.market.address), delivery.signature) == owner.address
    assert owner.deliver(task, digests) == delivery
    (entry,) = owner.journal.entries()
    assert entry.projected == ((scene.state.roster_hash, delivery.projected),)


def projection_of(scene: Scene, task: TaskId, vector: bytes) -> bytes:
    """The point of a vector's projection for the open roster."""
    seed = projection_seed(task.settlement_context(scene.state.epoch_seed), scene.state.roster_hash)
    return commit(project(FieldVector.from_bytes(vector, len(vector) // 32), seed))


def test_round_that_opens_again_with_another_roster_gets_the_same_vector_and_a_second_projection(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path, projected=True, num_owners=18)
    commitment, before = owner.commit(task), scene.world.snapshot()
    others = [number for number in range(1, 18) if number not in scene.owners_of(group_of(scene, owner))]
    deliveries = {}
    for left_out in ([], [others[0]], []):
        scene.world.restore(before)
        digests = open_with(scene, commitment, but=left_out)
        roster = scene.state.roster_hash
        delivery = owner.deliver(task, digests)
        assert delivery.projected == projection_of(scene, task, delivery.vector)
        assert deliveries.setdefault(roster, delivery) == delivery
    assert len({delivery.vector for delivery in deliveries.values()}) == 1
    assert len({delivery.projected for delivery in deliveries.values()}) == 2
    (entry,) = owner.journal.entries()
    assert dict(entry.projected) == {roster: delivery.projected for roster, delivery in deliveries.items()}


def test_projection_is_in_the_journal_before_it_is_signed(tmp_path: Path) -> None:
    """A reorganisation during the signature must not make a second one for another roster that nobody knows of."""
    scene, owner, task = lone_task(tmp_path, projected=True)
    open_with(scene, owner.commit(task))
    (entry,) = owner.journal.entries()
    signer = Mock(sign_hash=Mock(side_effect=OSError("the power is cut")))
    with pytest.raises(OSError, match="power"):
        sign_projection(entry, scene.state, journal=owner.journal, signer=signer)
    assert owner.journal.entries()[0].projected == ((scene.state.roster_hash, projection_of(scene, task, entry.vector)),)


def group_of(scene: Scene, owner: Owner) -> int:
    """Bitmap of one group: that of this data owner."""
    groups = scene.market.storage.groups
    return next(1 << number for number, seats in enumerate(groups) if seats >> seat_of(scene, owner) & 1)


def test_roster_that_is_short_of_peers_is_refused(tmp_path: Path) -> None:
    """Its hash is the chain's: only counting shows that somebody's digest, and with it a peer, is missing."""
    scene, owner, task = lone_task(tmp_path)
    digests = open_with(scene, owner.commit(task))
    for shown in (digests[:-1], (*digests, digests[0])):
        scene.market.storage.roster_hash = roster_hash(scene.state.groups, shown)
        with pytest.raises(Refused, match=f"{len(shown)} digests for 15 members"):
            owner.deliver(task, shown)


def test_digest_in_another_place_than_ones_own_is_refused(tmp_path: Path) -> None:
    """An accusation could not be answered, and the sum of its group would lack the masks."""
    scene, owner, task = lone_task(tmp_path)
    digests = list(open_with(scene, owner.commit(task)))
    place = scene.seats_of(scene.state.groups).index(seat_of(scene, owner))
    digests[place], digests[place - 1] = digests[place - 1], digests[place]
    scene.market.storage.roster_hash = roster_hash(scene.state.groups, tuple(digests))
    with pytest.raises(Refused, match="without this data owner's digest"):
        owner.deliver(task, tuple(digests))


def test_roster_of_other_groups_than_the_chains_is_refused(tmp_path: Path) -> None:
    """The same digests under another bitmap of groups hash to something else."""
    scene, owner, task = lone_task(tmp_path)
    digests = open_with(scene, owner.commit(task))
    scene.market.storage.roster_hash = roster_hash(scene.state.groups ^ 0b11, digests)
    with pytest.raises(TaskMismatch, match="do not hash to the roster on chain"):
        owner.deliver(task, digests)


def accused_in(scene: Scene, owners: dict[int, Owner], *, of_group: bool) -> tuple[TaskId, tuple[bytes, ...], int]:
    """An open round with a member accused, of owner 0's group or of another; the task, the roster's digests, and when it lapses."""
    task = anchor(scene)
    commitments = {number: owner.commit(task, number) for number, owner in owners.items()}
    digests = open_with(scene, *commitments.values())
    accused = next(number for number in sorted(owners) if number and (number in scene.owners_of(group_of(scene, owners[0]))) == of_group)
    seat = seat_of(scene, owners[accused])
    scene.ledger().accuse(task.round, bitmap_of([seat]), digests, (commitments[accused].signature,))
    return task, digests, scene.state.answer_by


@pytest.mark.parametrize("of_group", [True, False], ids=["a peer", "somebody else"])
def test_nothing_is_delivered_to_a_group_with_a_lapsed_accusation(tmp_path: Path, of_group: bool) -> None:
    """It takes no part any more, so that the vector could only be used for what nobody pays."""
    scene, owners = make_owners_scene(tmp_path, real=range(15), verification=DictatedVerification())
    task, digests, answer_by = accused_in(scene, owners, of_group=of_group)
    scene.world.timestamp = answer_by
    assert owners[0].deliver(task, digests).vector
    scene.world.timestamp = answer_by + 1
    if of_group:
        with pytest.raises(Refused, match="an accusation in this group has lapsed"):
            owners[0].deliver(task, digests)
    else:
        assert owners[0].deliver(task, digests).vector


def test_nothing_is_delivered_once_the_settlement_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vector is still there, for the blocks that could be reorganised away are not yet past."""
    scene, owner, task = lone_task(tmp_path)
    anchored = scene.state
    monkeypatch.setattr(MemoryLedger, "state", lambda ledger, blocks=0: anchored if blocks > 1 else scene.state)
    digests = open_with(scene, owner.commit(task))
    scene.world.timestamp = scene.state.settle_by
    assert owner.deliver(task, digests).vector
    anchored = replace(anchored, open_by=scene.state.settle_by)
    scene.world.timestamp += 1
    with pytest.raises(Refused, match="had to settle by"):
        owner.deliver(task, digests)
