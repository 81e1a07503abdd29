"""The mod fails closed: what it does not know, or what is not anchored, never reaches the user's functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict

from omnilytics_flwr.data_owner.owner_agent import OwnerAgent
from omnilytics_flwr.errors import Unreachable
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.wire import RECORD, Exchange, hash_of_task_config
from omnilytics_flwr.market.task import ConfigScalar, config_hash
from tests.data_owner.owners import anchor
from tests.flower.clients import (
    EVALUATE_CONFIG,
    TRAIN_CONFIG,
    Client,
    arrays_of,
    assert_refused,
    evaluate_content,
    make_model,
    parts_of,
    train_content,
    wire,
    with_record,
)
from tests.support.builders import MARKET, STRANGER, address_of

Content = Callable[[Client], RecordDict]


def test_train_anchored_task_runs_user_function_and_commits(client: Client) -> None:
    assert client.commit().owner == address_of(0)
    (message,) = client.trainer.trained
    assert list(message.content.keys()) == ["arrays", "config"]
    assert dict(message.content.config_records["config"].items()) == TRAIN_CONFIG
    assert {n: a.data for n, a in message.content.array_records["arrays"].items()} == {n: a.data for n, a in make_model().items()}


MALFORMED: dict[str, tuple[Content | dict[str, object], str]] = {
    "no record of ours": (lambda c: RecordDict({"arrays": make_model()}), "no 'omnilytics' record"),
    "our record as metrics": (lambda c: RecordDict({RECORD: MetricRecord({"version": 1})}), "no 'omnilytics' record"),
    "empty record": (lambda c: RecordDict({RECORD: ConfigRecord()}), "version None"),
    "no arrays": (lambda c: RecordDict({RECORD: train_content(c.scene, make_model())[RECORD]}), "one ArrayRecord"),
    "unknown exchange": ({"exchange": "publish"}, "publish"),
    "other version": ({"version": 1}, "version 1"),
    "no round": ({"round": None}, "'round'"),
    "negative chain": ({"chain-id": -5}, "'chain-id' is -5"),
    "market with a wrong checksum": ({"market": "0x" + MARKET[2:].swapcase()}, "checksum"),
    "short config hash": ({"other-config-hash": bytes(31)}, "length 31"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_train_malformed_request_is_refused(client: Client, case: str) -> None:
    make, reason = MALFORMED[case]

    content = make(client) if callable(make) else with_record(train_content(client.scene, make_model()), **make)
    assert_refused(client, client.ask(content), reason)


@pytest.mark.parametrize(
    ("exchange", "message_type"),
    [
        (Exchange.TRAIN, MessageType.EVALUATE),
        (Exchange.TRAIN, MessageType.QUERY),
        (Exchange.DELIVER, MessageType.EVALUATE),
        (Exchange.EVALUATE, MessageType.TRAIN),
        (Exchange.EVALUATE, MessageType.QUERY),
    ],
)
def test_request_wrong_message_type_is_refused(client: Client, exchange: Exchange, message_type: str) -> None:
    content = with_record(train_content(client.scene, make_model()), exchange=exchange.value)
    assert_refused(client, client.ask(content, message_type), f"exchange {exchange.value} came as {message_type}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"market": address_of(STRANGER)}, "works for market"),
        ({"chain_id": 1}, "works for market"),
        ({"epoch": 2}, "OutOfTurn"),
        ({"epoch": 0}, "OutOfTurn"),
        ({"round": 2}, "OutOfTurn"),
        ({"round": 0}, "OutOfTurn"),
        ({"other_config_hash": bytes(32)}, "TaskMismatch"),
    ],
)
def test_request_other_header_is_refused(client: Client, changes: dict[str, object], reason: str) -> None:
    assert_refused(client, client.train(make_model(), **changes), reason)
    assert_refused(client, client.evaluate(make_model(), **changes), reason)


def changed_arrays() -> dict[str, ArrayRecord]:
    """Arrays that differ from `make_model()` in one way each."""
    plain = arrays_of(make_model())
    one_bit = plain["head.weight"].copy()
    one_bit.reshape(-1).view(np.uint32)[-1] ^= 1
    cases = {
        "bit": {**plain, "head.weight": one_bit},
        "dtype": {name: array.astype("float64") for name, array in plain.items()},
        "shape": {**plain, "body.weight": plain["body.weight"].reshape(5, 4)},
        "name": {name.replace("body.bias", "body.bias2"): array for name, array in plain.items()},
        "order": dict(reversed(plain.items())),
        "fewer": {name: plain[name] for name in list(plain)[:2]},
        "more": {**plain, "tail": np.zeros(1, dtype="float32")},
    }
    return {case: ArrayRecord({name: Array(array) for name, array in arrays.items()}) for case, arrays in cases.items()}


@pytest.mark.parametrize("case", changed_arrays())
def test_request_changed_arrays_is_refused(client: Client, case: str) -> None:
    assert_refused(client, client.train(changed_arrays()[case]), "TaskMismatch")
    assert_refused(client, client.evaluate(changed_arrays()[case]), "TaskMismatch")


def renamed(content: RecordDict, old: str, new: str) -> RecordDict:
    return RecordDict({new if key == old else key: record for key, record in content.items()})


@pytest.mark.parametrize(("old", "new"), [("config", "config2"), ("arrays", "arrays2"), ("config", "arrays2")])
def test_record_by_another_name_which_an_app_would_not_find_is_refused(client: Client, old: str, new: str) -> None:
    assert_refused(client, client.ask(renamed(train_content(client.scene, make_model()), old, new)), "TaskMismatch")
    content = renamed(evaluate_content(client.scene, make_model()), old, new)
    assert_refused(client, client.ask(content, MessageType.EVALUATE), "TaskMismatch")


@pytest.mark.parametrize(
    "changes", [{"server-round": 5}, {"server-round": True}, {"server-round": 1.0}, {"layers": ["b", "a"]}, {"more": 1}, None]
)
def test_request_changed_config_is_refused(client: Client, changes: dict[str, object] | None) -> None:
    train, evaluate = ({} if changes is None else {**config, **changes} for config in (TRAIN_CONFIG, EVALUATE_CONFIG))
    for reply in (client.train(make_model(), config=train), client.train(make_model(), evaluate_config=evaluate)):
        assert_refused(client, reply, "TaskMismatch")
    for reply in (client.evaluate(make_model(), config=evaluate), client.evaluate(make_model(), train_config=train)):
        assert_refused(client, reply, "TaskMismatch")


@pytest.mark.parametrize("run_config", [{}, {"lr": 0.5}, {"lr": 1}, {"lr": 1.0, "more": 1}])
def test_request_run_config_not_anchored_is_refused(client: Client, run_config: dict[str, bool | float | int | str]) -> None:
    anchored: dict[str, ConfigScalar] = {"lr": 1.0}
    anchor(client.scene, replace(parts_of(make_model()), run_config=config_hash(anchored)))
    client.context.run_config = run_config
    assert_refused(client, client.train(make_model()), "TaskMismatch")
    assert_refused(client, client.evaluate(make_model()), "TaskMismatch")
    client.context.run_config = {"lr": 1.0}
    assert not client.train(make_model()).has_error()
    assert len(client.trainer.trained) == 1


def test_train_key_order_of_config_is_irrelevant_and_there_may_be_none(client: Client) -> None:
    content = train_content(client.scene, make_model())
    del content["config"]
    assert_refused(client, client.ask(content), "TaskMismatch")
    assert not client.train(make_model(), config=dict(reversed(TRAIN_CONFIG.items()))).has_error()
    anchor(client.scene, replace(parts_of(make_model()), train_config=hash_of_task_config(content)))
    content = train_content(client.scene, make_model())
    del content["config"]
    assert not client.ask(content).has_error()
    assert len(client.trainer.trained) == 2


@pytest.mark.parametrize("extra", [ArrayRecord({"x": Array(np.zeros(1))}), ConfigRecord({"x": 1}), MetricRecord({"x": 1})])
def test_request_extra_record_is_refused(client: Client, extra: ArrayRecord | ConfigRecord | MetricRecord) -> None:
    train, evaluate = train_content(client.scene, make_model()), evaluate_content(client.scene, make_model())
    for content, message_type in ((train, MessageType.TRAIN), (evaluate, MessageType.EVALUATE)):
        content["extra"] = extra
        assert_refused(client, client.ask(content, message_type), "one ArrayRecord and at most one ConfigRecord")


@pytest.mark.parametrize(("kind", "data"), [("numpy.ndarray", b"no array"), ("numpy.ndarray", b""), ("torch.Tensor", b"")])
def test_request_array_that_does_not_decode_is_refused(client: Client, kind: str, data: bytes) -> None:
    content = train_content(client.scene, make_model())
    content["arrays"] = ArrayRecord({"body.bias": Array("float32", (4,), kind, data)})
    assert_refused(client, client.ask(content), "does not decode")


def test_train_after_the_deadline_is_refused(settled_client: Client) -> None:
    client = settled_client
    client.scene.world.timestamp = client.scene.state.open_by
    assert not client.evaluate(make_model()).has_error()
    client.trainer.evaluated.clear()
    client.scene.world.wait(1)
    assert_refused(client, client.train(make_model()), "the round had to open by")


def test_trouble_with_the_chain_is_told_to_the_log_only(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    def fail(context: object) -> OwnerAgent:
        raise Unreachable("http://10.0.0.5:8545 does not answer; expected a JSON-RPC endpoint; check its address")

    app = client.trainer.app(OmnilyticsMod(agent=fail))
    reply = app(wire(Message(train_content(client.scene, make_model()), 11, MessageType.TRAIN)), client.context)
    assert reply.has_error()
    assert reply.error.reason == "Unreachable: the data owner's node or wallet fails it; its log says how"
    assert "10.0.0.5" in caplog.text
