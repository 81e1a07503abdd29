"""What leaves a data owner: a commitment, the metrics that the terms name, named errors; nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict

from omnilytics_flwr.flower.wire import (
    RECORD,
)
from tests.data_owner.owners import (
    make_owners_scene,
)
from tests.flower.play import (
    Client,
    anchor_model,
    arrays_of,
    filled,
    is_within,
    make_client,
    make_model,
    reason_of,
    step_towards,
)


def test_evaluate_anchored_task_gives_allowed_metrics_only(client: Client) -> None:
    reply = client.evaluate(make_model())
    assert not client.trainer.trained
    assert len(client.trainer.evaluated) == 1
    (record,) = reply.content.metric_records.values()
    assert list(record) == ["loss"]
    assert not reply.content.array_records
    assert not reply.content.config_records


@pytest.mark.parametrize(
    ("allowed", "kept"),
    [
        ((), set()),
        (("loss",), {"loss"}),
        (("loss", "num-examples"), {"loss", "num-examples"}),
        (("accuracy",), set()),
    ],
)
def test_train_only_metrics_of_the_terms_leave(tmp_path: Path, allowed: tuple[str, ...], kept: set[str]) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0], metrics=allowed)
    anchor_model(scene, make_model())
    client = make_client(owners[0])
    for reply in (client.train(make_model()), client.evaluate(make_model())):
        assert {name for record in reply.content.metric_records.values() for name in record} == kept


def test_train_every_other_record_of_the_users_reply_stays(client: Client) -> None:
    def talkative(message: Message, new: ArrayRecord) -> Message:
        records = {
            "arrays": new,
            "metrics": MetricRecord({"loss": 1.0, "secret": 7.5}),
            "more": MetricRecord({"secret": 7.5, "num-examples": 99}),
            "config": ConfigRecord({"note": "a-secret-note"}),
        }
        return Message(RecordDict(records), reply_to=message)

    client.trainer.reply = talkative
    reply = client.train(make_model())
    assert set(reply.content) == {"metrics", RECORD}
    assert set(reply.content.metric_records["metrics"]) == {"loss"}
    assert set(reply.content.config_records[RECORD]) == {"version", "owner", "digest", "signature"}


def test_train_reply_has_no_array_of_the_update(client: Client) -> None:
    reply = client.train(make_model())
    trained = step_towards(client.trainer.target, make_model())
    assert not reply.content.array_records
    for name, array in arrays_of(trained).items():
        assert not is_within(array, reply), name


BAD_REPLIES: dict[str, tuple[Callable[[ArrayRecord], RecordDict], str]] = {
    "other shape": (
        lambda new: RecordDict({"arrays": ArrayRecord({**dict(new.items()), "body.bias": Array(np.zeros(5, "float32"))})}),
        "same names, shapes and dtypes",
    ),
    "other dtype": (
        lambda new: RecordDict({"arrays": ArrayRecord({n: Array(a.astype("float64")) for n, a in arrays_of(new).items()})}),
        "same names, shapes and dtypes",
    ),
    "integers": (
        lambda new: RecordDict({"arrays": ArrayRecord({n: Array(a.astype("int32")) for n, a in arrays_of(new).items()})}),
        "same names, shapes and dtypes",
    ),
    "missing array": (
        lambda new: RecordDict({"arrays": ArrayRecord({"body.bias": new["body.bias"]})}),
        "same names, shapes and dtypes",
    ),
    "other order": (
        lambda new: RecordDict({"arrays": ArrayRecord(dict(reversed(list(new.items()))))}),
        "same names, shapes and dtypes",
    ),
    "no arrays": (lambda new: RecordDict({"metrics": MetricRecord({"loss": 1.0})}), "one ArrayRecord"),
    "two records": (lambda new: RecordDict({"arrays": new, "again": new}), "one ArrayRecord"),
    "NaN": (lambda new: RecordDict({"arrays": filled(new, np.nan)}), "nan"),
    "infinity": (lambda new: RecordDict({"arrays": filled(new, np.inf)}), "inf"),
    "negative infinity": (lambda new: RecordDict({"arrays": filled(new, -np.inf)}), "inf"),
    "liar about its shape": (
        lambda new: RecordDict(
            {"arrays": ArrayRecord({n: Array(a.dtype, a.shape, a.stype, Array(np.zeros(7, "float32")).data) for n, a in new.items()})}
        ),
        "",
    ),
}


@pytest.mark.parametrize("case", BAD_REPLIES)
def test_train_unusable_update_is_a_named_error(client: Client, case: str) -> None:
    make, reason = BAD_REPLIES[case]
    client.trainer.reply = lambda message, new: Message(make(new), reply_to=message)
    said = reason_of(client.train(make_model()))
    assert said.startswith("UpdateError: ")
    assert reason in said
    assert not client.owner.journal.entries()


@pytest.mark.parametrize("case", ["NaN", "other shape"])
def test_train_after_an_unusable_update_commits_the_next_try(client: Client, case: str) -> None:
    client.trainer.reply = lambda message, new: Message(BAD_REPLIES[case][0](new), reply_to=message)
    reason_of(client.train(make_model()))
    client.trainer.reply = None
    assert not client.train(make_model()).has_error()


def test_train_integer_public_part_is_a_named_error(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    counts = ArrayRecord({"steps": Array(np.arange(42))})
    anchor_model(scene, counts)
    client = make_client(owners[0], reply=lambda message, new: Message(RecordDict({"arrays": counts}), reply_to=message))
    client.trainer.target = counts
    assert "int64, expected floating point" in reason_of(client.train(counts))


def test_train_wrong_number_of_weights_is_a_named_error(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0], weights=41)
    anchor_model(scene, make_model())
    assert "shape (42,), expected (41,)" in reason_of(make_client(owners[0]).train(make_model()))


@pytest.mark.parametrize("exchange", ["train", "evaluate"])
def test_error_of_the_users_function_passes_untouched(client: Client, exchange: str) -> None:
    error = Error(42, "my data set is gone")
    client.trainer.reply = lambda message, new: Message(error, reply_to=message)
    client.trainer.evaluate_reply = lambda message: Message(error, reply_to=message)
    reply = client.train(make_model()) if exchange == "train" else client.evaluate(make_model())
    assert (reply.error.code, reply.error.reason) == (42, "my data set is gone")
    assert not client.owner.journal.entries()
