"""One commitment in a round, and its vector only to an open round that it is part of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.flower import wire
from omnilytics_flwr.flower.wire import RECORD
from omnilytics_flwr.market.messages import sign_commitment
from tests.data_owner.owners import live_task, lone_owner, make_wallet, open_with
from tests.flower.clients import Client, anchor_model, make_client, make_model, reason_of
from tests.support.builders import STRANGER, address_of


def test_train_repeat_gives_the_same_commitment_without_training(client: Client) -> None:
    market = client.scene.market.address
    first, *others = client.train(make_model()), client.train(make_model()), client.train(make_model(), market=market.lower())
    for other in others:
        assert first.content.config_records[RECORD] == other.content.config_records[RECORD]
        assert not other.content.metric_records
    assert len(client.trainer.trained) == 1
    assert [entry.task.market for entry in client.owner.journal.entries()] == [market]


def test_deliver_open_round_gives_vector_and_points_twice_the_same(client: Client) -> None:
    digests = client.commit_and_open()
    first, second = client.deliver(digests), client.deliver(digests)
    assert set(first.content) == {"metrics", RECORD}
    record = first.content.config_records[RECORD]
    assert set(record) == {"version", "owner", "vector", "points", "projected", "signature"}
    assert (len(record["vector"]), len(record["points"])) == (131_072, 96)  # type: ignore[arg-type]
    assert dict(record.items()) == dict(second.content.config_records[RECORD].items())
    assert len(client.trainer.trained) == 1


def test_deliver_large_vector_leaves_in_pieces(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = client.commit_and_open()
    whole = client.deliver(digests).content.config_records[RECORD]["vector"]
    monkeypatch.setattr(wire, "PIECE_BYTES", 50_000)
    content = client.deliver(digests).content
    assert set(content) == {"metrics", RECORD, f"{RECORD}-1", f"{RECORD}-2"}
    assert wire.DeliverReply.from_content(content).vector == whole


def test_deliver_vector_hides_the_update(client: Client) -> None:
    record = client.deliver(client.commit_and_open()).content.config_records[RECORD]
    words = np.frombuffer(record["vector"], dtype=np.uint8).reshape(4096, 32)  # type: ignore[arg-type]
    assert (words[:, :16].max(axis=1) > 0).all(), "an element without a mask has zeros in front"


def test_deliver_nothing_committed_is_refused(client: Client) -> None:
    assert "nothing is committed here" in reason_of(client.deliver(open_with(client.scene)))
    assert client.trainer.untouched


def test_deliver_wrong_roster_is_refused(client: Client) -> None:
    digests = client.commit_and_open()
    swapped = (bytes(32), *digests[1:])
    for roster in (digests[:-1], (*digests, bytes(32)), tuple(reversed(digests)), swapped, ()):
        assert "do not hash to the roster" in reason_of(client.deliver(roster))
    assert "digests has length 33" in reason_of(client.deliver((bytes(33),)))
    assert not client.deliver(digests).has_error()


def test_deliver_opened_with_another_digest_of_the_owner_is_refused(client: Client) -> None:
    commit, other = client.commit(), b"\7" * 32
    signature = sign_commitment(make_wallet(0), live_task(client.scene), other, client.scene.state.open_by)
    digests = open_with(client.scene, replace(commit, digest=other, signature=signature))  # type: ignore[arg-type]
    assert "without this data owner's digest" in reason_of(client.deliver(digests))


def test_deliver_opened_without_the_group_is_refused(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path, num_owners=18)
    anchor_model(scene, make_model())
    client = make_client(owner)
    client.commit()
    assert "without this data owner's digest" in reason_of(client.deliver(open_with(scene, but=[0])))


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
    assert reason in reason_of(client.deliver(client.commit_and_open(), **changes))
