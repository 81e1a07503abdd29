"""One commitment in a round, and its vector only to an open round that it is part of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.flower.wire import RECORD, CommitReply
from omnilytics_flwr.market.commitment_message import sign_commitment
from tests.data_owner.owners import live_task, make_owners_scene, make_wallet, open_with
from tests.flower.clients import Client, anchor_model, make_client, make_model, parts_of, reason_of
from tests.support.builders import STRANGER, address_of


def test_train_repeat_gives_the_same_commitment_without_training(client: Client) -> None:
    first, second = client.train(make_model()), client.train(make_model())
    assert first.content.config_records[RECORD] == second.content.config_records[RECORD]
    assert len(client.trainer.trained) == 1
    assert not second.content.metric_records


def test_train_second_task_in_the_same_round_is_refused(client: Client) -> None:
    """A market never anchors twice under one round number; a chain that forgot a block might."""
    first = client.train(make_model())
    held = client.scene.market.storage
    other = make_model(1)
    held.task_hash = parts_of(other).task_hash(held.round)
    assert live_task(client.scene).task_hash == held.task_hash
    assert "a mask is used once" in reason_of(client.train(other))
    assert len(client.trainer.trained) == 1
    assert not first.has_error()


def test_train_market_in_lower_case_is_the_same_market(client: Client) -> None:
    lower = client.scene.market.address.lower()
    first = client.train(make_model())
    second = client.train(make_model(), market=lower)
    assert first.content.config_records[RECORD] == second.content.config_records[RECORD]
    (entry,) = client.owner.journal.entries()
    assert entry.task.market == client.scene.market.address


def committed(client: Client) -> CommitReply:
    return CommitReply.from_record(client.train(make_model()).content.config_records[RECORD])


def test_deliver_open_round_gives_vector_and_points_twice_the_same(client: Client) -> None:
    digests = open_with(client.scene, committed(client))  # type: ignore[arg-type]
    first, second = client.deliver(digests), client.deliver(digests)
    assert set(first.content) == {"metrics", RECORD}
    record = first.content.config_records[RECORD]
    assert set(record) == {"version", "owner", "vector", "points"}
    assert (len(record["vector"]), len(record["points"])) == (131_072, 128)  # type: ignore[arg-type]
    assert dict(record.items()) == dict(second.content.config_records[RECORD].items())
    assert len(client.trainer.trained) == 1


def test_deliver_vector_hides_the_update(client: Client) -> None:
    digests = open_with(client.scene, committed(client))  # type: ignore[arg-type]
    record = client.deliver(digests).content.config_records[RECORD]
    words = np.frombuffer(record["vector"], dtype=np.uint8).reshape(4096, 32)  # type: ignore[arg-type]
    assert (words[:, :16].max(axis=1) > 0).all(), "an element without a mask has zeros in front"


def test_deliver_nothing_committed_is_refused(client: Client) -> None:
    digests = open_with(client.scene)
    assert "nothing is committed here" in reason_of(client.deliver(digests))
    assert client.trainer.untouched


def test_deliver_wrong_roster_is_refused(client: Client) -> None:
    commit = committed(client)
    digests = open_with(client.scene, commit)  # type: ignore[arg-type]
    place = digests.index(commit.digest)
    swapped = (*digests[:place], bytes(32), *digests[place + 1 :])
    for roster in (digests[:-1], (*digests, bytes(32)), tuple(reversed(digests)), swapped, ()):
        assert "do not hash to the roster" in reason_of(client.deliver(roster))
    assert not client.deliver(digests).has_error()


def test_deliver_opened_with_another_digest_of_the_owner_is_refused(client: Client) -> None:
    commit = committed(client)
    other = CommitReply(commit.owner, b"\7" * 32, b"")
    signature = sign_commitment(make_wallet(0), live_task(client.scene), other.digest, client.scene.state.open_by)
    digests = open_with(client.scene, CommitReply(commit.owner, other.digest, signature))  # type: ignore[arg-type]
    assert "without this data owner's digest" in reason_of(client.deliver(digests))


def test_deliver_opened_without_the_group_is_refused(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, num_owners=18, real=[0])
    anchor_model(scene, make_model())
    client = make_client(owners[0])
    committed(client)
    digests = open_with(scene, but=[0])
    assert "without this data owner's digest" in reason_of(client.deliver(digests))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"round": 2}, "nothing is committed here"),
        ({"epoch": 2}, "deliver in round 1 of epoch 2 is not allowed in stage open"),
        ({"chain_id": 1}, "works for market"),
        ({"market": address_of(STRANGER)}, "works for market"),
    ],
)
def test_deliver_other_request_is_refused(client: Client, changes: dict[str, object], reason: str) -> None:
    digests = open_with(client.scene, committed(client))  # type: ignore[arg-type]
    assert reason in reason_of(client.deliver(digests, **changes))


def test_deliver_malformed_digests_is_refused(client: Client) -> None:
    open_with(client.scene, committed(client))  # type: ignore[arg-type]
    assert "digests has length 33" in reason_of(client.deliver((bytes(33),)))
