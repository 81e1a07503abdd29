"""The private part of a data owner: joined to the public part for the users' functions, kept, never sent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict

from omnilytics_flwr.flower.kept_state import kept_private, private_name
from tests.data_owner.owners import live_task, lone_owner
from tests.flower.clients import (
    SHAPES,
    Client,
    anchor_model,
    assert_tells_nothing,
    filled,
    is_within,
    make_client,
    make_context,
    make_model,
    reason_of,
    settle_model,
    step_towards,
)
from tests.support.builders import DictatedVerification

NAMES = ("body.weight", "body.bias")
PUBLIC = make_model(0, names=NAMES)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A client whose model has a private head of its own; a public part of 24 weights has settled, and may be evaluated."""
    scene, owner = lone_owner(tmp_path, weights=24, metrics=("loss",), verification=DictatedVerification())
    settle_model(scene, PUBLIC)
    return make_client(owner, initial_model=lambda context: make_model(7))


def head_in(record: ArrayRecord) -> bytes:
    return record["head.weight"].data


def kept_by(client: Client, private: ArrayRecord) -> ArrayRecord:
    """The private part in the owner home, in the layout of `private`; that itself if there is none."""
    return kept_private(client.owner.agent(), live_task(client.scene), private, __name__)


def test_private_part_joins_public_part_for_the_users_functions(client: Client) -> None:
    assert not client.evaluate(PUBLIC).has_error()
    assert not client.train(PUBLIC).has_error()
    expected = dict(PUBLIC.items()) | {"head.weight": make_model(7)["head.weight"]}
    for message in (*client.trainer.evaluated, *client.trainer.trained):
        whole = message.content.array_records["arrays"]
        assert list(whole) == list(SHAPES)
        assert all(whole[name].data == expected[name].data for name in SHAPES)


def test_private_part_survives_rounds_in_the_owner_home_only(client: Client) -> None:
    head, replies = make_model(7, names=("head.weight",)), []
    for number in range(3):
        anchor_model(client.scene, PUBLIC)
        replies.append(client.train(PUBLIC))
        assert head_in(client.trainer.trained[number].content.array_records["arrays"]) == head_in(head)
        head = step_towards(client.trainer.target, head)
        assert head_in(kept_by(client, head)) == head_in(head)
        assert not client.context.state.array_records, "a new run of Flower would begin without it"
        for reply in replies:
            assert not reply.has_error()
            assert not is_within(head["head.weight"].numpy(), reply)
            assert not reply.content.array_records


def test_private_part_evaluation_uses_and_keeps_it(client: Client) -> None:
    client.train(PUBLIC)
    initial = make_model(7, names=("head.weight",))
    kept = head_in(kept_by(client, initial))
    assert kept != head_in(initial)
    client.evaluate(PUBLIC)
    assert head_in(client.trainer.evaluated[0].content.array_records["arrays"]) == kept
    assert head_in(kept_by(client, initial)) == kept


def test_private_part_goes_on_in_a_new_run_of_the_same_app_and_not_in_another_app(client: Client) -> None:
    """Flower gives every run a state of its own, and an app of another shape must not find a head that is not its own."""
    client.train(PUBLIC)
    kept = kept_by(client, make_model(7, names=("head.weight",)))
    client.context = make_context(11)
    anchor_model(client.scene, PUBLIC)
    assert not client.train(PUBLIC).has_error()
    assert head_in(client.trainer.trained[-1].content.array_records["arrays"]) == head_in(kept)
    other = ArrayRecord({"head.weight": Array(np.zeros((2, 6), "float32"))})
    assert kept_by(client, other) is other
    assert private_name(other, "app") != private_name(kept, "app") != private_name(kept, "other")


def model_of_app(folder: Path, name: str, version: str) -> Callable[[Context], ArrayRecord]:
    """The function that makes an app's model, from the folder where Flower has installed it."""
    module = folder / f"tester.{name}.{version}" / "shared" / "client.py"
    module.parent.mkdir(parents=True)
    app = f'[project]\nname = "{name}"\nversion = "{version}"\n[tool.flwr.app]\npublisher = "tester"\n'
    (module.parent.parent / "pyproject.toml").write_text(app)
    module.write_text("from tests.flower.clients import make_model\n\ndef initial_model(context):\n    return make_model(7)\n")
    names = {"__name__": "shared.client"}
    exec(compile(module.read_text(), module, "exec"), names)
    return names["initial_model"]  # type: ignore[return-value]


def test_private_part_goes_on_in_a_new_version_of_its_app_and_not_in_another_app_of_the_same_shape(client: Client, tmp_path: Path) -> None:
    def first_head(name: str, version: str) -> bytes:
        other = make_client(client.owner, initial_model=partial(model_of_app(tmp_path / "apps", name, version)))
        anchor_model(client.scene, PUBLIC)
        assert not other.train(PUBLIC).has_error()
        return head_in(other.trainer.trained[0].content.array_records["arrays"])

    fresh = head_in(make_model(7))
    assert first_head("one", "1") == fresh
    assert first_head("other", "1") == fresh
    assert first_head("one", "2") != fresh


def test_private_part_that_cannot_be_kept_costs_no_round(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    (client.owner.folder / "client").write_text("a file where the folder should be")
    assert not client.train(PUBLIC).has_error()
    assert "is not kept" in caplog.text


def test_private_part_of_a_refused_update_is_not_kept(client: Client) -> None:
    client.trainer.reply = lambda message, new: Message(RecordDict({"arrays": filled(new, np.nan)}), reply_to=message)
    reason_of(client.train(PUBLIC))
    initial = make_model(7, names=("head.weight",))
    assert kept_by(client, initial) is initial
    client.trainer.reply = None
    client.train(PUBLIC)
    assert head_in(client.trainer.trained[-1].content.array_records["arrays"]) == head_in(make_model(7))


def test_private_part_that_the_client_has_not_is_refused_before_training(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    anchor_model(scene, make_model())
    client = make_client(owner, initial_model=lambda context: make_model(7, names=NAMES))
    assert_tells_nothing(client.train(make_model()), "head.weight")
    assert client.trainer.untouched
    assert not client.owner.journal.entries()


def test_private_part_follows_a_task_that_divides_the_model_otherwise(client: Client) -> None:
    client.train(PUBLIC)
    turned = make_model(0, names=NAMES[::-1])
    anchor_model(client.scene, turned)
    assert not client.train(turned).has_error()


def test_integer_private_part_is_allowed(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    steps = {"steps": Array(np.array(3))}
    client = make_client(
        owner,
        initial_model=lambda context: ArrayRecord({**dict(make_model(7).items()), **steps}),
        reply=lambda message, new: Message(RecordDict({"arrays": new}), reply_to=message),
    )
    client.trainer.target = ArrayRecord({**dict(client.trainer.target.items()), **steps})
    anchor_model(scene, make_model())
    assert not client.train(make_model()).has_error()
    assert int(kept_by(client, ArrayRecord(steps))["steps"].numpy()) == 3
