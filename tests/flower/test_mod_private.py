"""The private part of a data owner: joined to the public part for the users' functions, kept, never sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict

from omnilytics_flwr.flower.mod import PRIVATE_STATE
from tests.data_owner.owners import make_owners_scene
from tests.flower.clients import (
    SHAPES,
    Client,
    anchor_model,
    arrays_of,
    assert_tells_nothing,
    filled,
    is_within,
    make_client,
    make_model,
    plain_model,
    reason_of,
    settle_model,
    step_towards,
)
from tests.support.builders import DictatedVerification

PUBLIC = ("body.weight", "body.bias")


def private_client(folder: Path) -> Client:
    """A client whose model has a private head of its own; the public part has 24 weights."""
    _scene, owners = make_owners_scene(folder, real=[0], weights=24, metrics=("loss",), verification=DictatedVerification())
    client = make_client(owners[0], initial_model=lambda context: make_model(7))
    return client


def test_private_part_joins_public_part_for_the_users_functions(tmp_path: Path) -> None:
    client, public = private_client(tmp_path), make_model(0, names=PUBLIC)
    settle_model(client.scene, public)
    assert not client.evaluate(public).has_error()
    assert not client.train(public).has_error()
    for message in (*client.trainer.evaluated, *client.trainer.trained):
        whole = arrays_of(message.content.array_records["arrays"])
        assert list(whole) == list(SHAPES)
        expected = arrays_of(public) | {"head.weight": arrays_of(make_model(7))["head.weight"]}
        assert all(np.array_equal(whole[name], expected[name]) for name in SHAPES)


def test_private_part_survives_rounds_in_the_clients_state_only(tmp_path: Path) -> None:
    client, public = private_client(tmp_path), make_model(0, names=PUBLIC)
    head, replies = make_model(7, names=("head.weight",)), []
    for number in range(3):
        anchor_model(client.scene, public)
        replies.append(client.train(public))
        got = client.trainer.trained[number].content.array_records["arrays"]
        assert np.array_equal(got["head.weight"].numpy(), head["head.weight"].numpy())
        head = step_towards(client.trainer.target, head)
        kept = client.context.state.array_records[PRIVATE_STATE]
        assert list(kept) == ["head.weight"]
        assert np.array_equal(kept["head.weight"].numpy(), head["head.weight"].numpy())
        for reply in replies:
            assert not reply.has_error()
            assert not is_within(head["head.weight"].numpy(), reply)
            assert not reply.content.array_records


def test_private_part_evaluation_uses_and_keeps_it(tmp_path: Path) -> None:
    client, public = private_client(tmp_path), make_model(0, names=PUBLIC)
    settle_model(client.scene, public)
    client.train(public)
    kept = client.context.state.array_records[PRIVATE_STATE]["head.weight"].numpy()
    client.evaluate(public)
    got = client.trainer.evaluated[0].content.array_records["arrays"]["head.weight"].numpy()
    assert np.array_equal(got, kept)
    assert np.array_equal(client.context.state.array_records[PRIVATE_STATE]["head.weight"].numpy(), kept)


def test_private_part_of_a_refused_update_is_not_kept(tmp_path: Path) -> None:
    client, public = private_client(tmp_path), make_model(0, names=PUBLIC)
    anchor_model(client.scene, public)
    client.trainer.reply = lambda message, new: Message(RecordDict({"arrays": filled(new, np.nan)}), reply_to=message)
    reason_of(client.train(public))
    assert PRIVATE_STATE not in client.context.state
    client.trainer.reply = None
    client.train(public)
    got = client.trainer.trained[-1].content.array_records["arrays"]["head.weight"].numpy()
    assert np.array_equal(got, make_model(7)["head.weight"].numpy())


def test_private_part_that_the_client_has_not_is_refused_before_training(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    anchor_model(scene, make_model())
    client = make_client(owners[0], initial_model=lambda context: make_model(7, names=PUBLIC))
    assert_tells_nothing(client.train(make_model()), "head.weight")
    assert client.trainer.untouched
    assert not client.owner.journal.entries()


def test_private_part_follows_a_task_that_divides_the_model_otherwise(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0], weights=24)
    client = make_client(owners[0], initial_model=lambda context: make_model(7))
    anchor_model(scene, make_model(0, names=PUBLIC))
    client.train(make_model(0, names=PUBLIC))
    turned = make_model(0, names=("body.bias", "body.weight"))
    anchor_model(scene, turned)
    assert not client.train(turned).has_error()


def test_integer_private_part_is_allowed(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    steps = {"steps": Array(np.array(3))}
    client = make_client(
        owners[0],
        initial_model=lambda context: ArrayRecord({**dict(make_model(7).items()), **steps}),
        reply=lambda message, new: Message(RecordDict({"arrays": new}), reply_to=message),
    )
    client.trainer.target = ArrayRecord({**dict(client.trainer.target.items()), **steps})
    anchor_model(scene, make_model())
    assert not client.train(make_model()).has_error()
    assert int(client.context.state.array_records[PRIVATE_STATE]["steps"].numpy()) == 3


def test_plain_flower_arrays_are_trained_like_named_ones(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    anchor_model(scene, plain_model())
    client = make_client(owners[0])
    client.trainer.target = plain_model(100)
    assert not client.train(plain_model()).has_error()
    assert list(client.trainer.trained[0].content.array_records["arrays"]) == ["0", "1", "2"]
