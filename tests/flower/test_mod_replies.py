"""What leaves a data owner: a commitment, the metrics that the terms name, named errors; nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict

from omnilytics_flwr.errors import Refused
from omnilytics_flwr.flower.kept_state import keep_metrics
from omnilytics_flwr.flower.metrics import MOST_KEY_LENGTH, MOST_RECORDS
from omnilytics_flwr.flower.mod import tell_cut
from omnilytics_flwr.flower.wire import RECORD, CommitReply
from tests.data_owner.owners import live_task, lone_owner, open_with
from tests.flower.clients import (
    Client,
    anchor_model,
    arrays_of,
    assert_refused,
    assert_tells_nothing,
    changed,
    filled,
    is_within,
    make_client,
    make_context,
    make_model,
    raw,
    reason_of,
    settle_model,
    step_towards,
)
from tests.support.builders import DictatedVerification


def test_evaluate_anchored_task_gives_allowed_metrics_only(settled_client: Client) -> None:
    client = settled_client
    reply = client.evaluate(make_model())
    assert not client.trainer.trained
    assert len(client.trainer.evaluated) == 1
    (record,) = reply.content.metric_records.values()
    assert list(record) == ["loss"]
    assert not reply.content.array_records
    assert not reply.content.config_records


@pytest.mark.parametrize("allowed", [(), ("loss",), ("loss", "num-examples"), ("accuracy",)])
def test_only_metrics_of_the_terms_leave(tmp_path: Path, allowed: tuple[str, ...]) -> None:
    scene, owner = lone_owner(tmp_path, metrics=allowed, verification=DictatedVerification())
    settle_model(scene, make_model())
    client = make_client(owner)
    for reply in (client.evaluate(make_model()), client.deliver(client.commit_and_open())):
        found = {name for record in reply.content.metric_records.values() for name in record}
        assert found == set(allowed) & {"loss", "num-examples"}


def test_metrics_that_the_terms_keep_back_are_told_to_the_data_owner_once_and_to_nobody_else(
    settled_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client = settled_client
    client.trainer.metrics = {"loss": 1.0, "secret": 7.5}
    for reply in (client.evaluate(make_model()), client.train(make_model())):
        assert not is_within(np.frombuffer(b"secret", np.uint8), reply)
    told = [record.getMessage() for record in caplog.records if "secret" in record.getMessage()]
    assert len(told) == 1
    assert "'secret'] stay here: the market's terms do not name them; a market with them in its terms' `metrics`" in told[0]


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
    assert set(reply.content) == {RECORD}
    assert set(reply.content.config_records[RECORD]) == {"version", "owner", "digest", "signature"}
    for name, array in arrays_of(step_towards(client.trainer.target, make_model())).items():
        assert not is_within(array, reply), name
    reply = client.deliver(client.commit_and_open())
    assert set(reply.content) == {"metrics", RECORD}
    assert set(reply.content.metric_records["metrics"]) == {"loss"}
    assert set(reply.content.config_records[RECORD]) == {"version", "owner", "vector", "points", "projected", "signature"}


def test_train_metrics_leave_with_the_vector_and_not_before(client: Client) -> None:
    """Before the opening nobody has to pay for them."""
    client.trainer.metrics = {"loss": 0.125}
    assert not client.train(make_model()).content.metric_records
    digests = client.commit_and_open()
    assert reason_of(client.deliver((*digests, bytes(32))))
    for _ in range(2):
        assert dict(client.deliver(digests).content.metric_records["metrics"].items()) == {"loss": 0.125}


def test_metrics_leave_in_a_new_run_too(client: Client) -> None:
    """Flower's state is that of a run; a delivery of the round may be asked for by the next one."""
    digests = client.commit_and_open()
    client.context = make_context(11)
    assert set(client.deliver(digests).content) == {"metrics", RECORD}


def test_metrics_of_another_round_or_lost_ones_do_not_leave(client: Client) -> None:
    """A client that was killed after its commitment finds the metrics of the round before."""
    client.commit()
    anchor_model(client.scene, make_model())
    digests = open_with(client.scene, client.owner.commit(live_task(client.scene)))
    assert set(client.deliver(digests).content) == {RECORD}
    for path in (client.owner.folder / "client").iterdir():
        path.write_bytes(b"damaged")
        assert set(client.deliver(digests).content) == {RECORD}, "a stake is worth more than a metric"
        path.unlink()
    assert set(client.deliver(digests).content) == {RECORD}


def test_metrics_that_the_app_puts_into_the_home_leave_only_if_the_terms_name_them(client: Client) -> None:
    digests = client.commit_and_open()
    planted = {"metrics": MetricRecord({"secret": 7.5}), "more": MetricRecord({"secret": 7.5, "loss": 1.0})}
    keep_metrics(client.owner.agent(), live_task(client.scene), RecordDict(planted))
    content = client.deliver(digests).content
    assert {key: dict(record.items()) for key, record in content.metric_records.items()} == {"more": {"loss": 1.0}}


OVERSIZED: dict[str, dict[str, MetricRecord]] = {
    "records": {f"metrics-{place}": MetricRecord({"loss": 0.5}) for place in range(MOST_RECORDS + 1)},
    "key": {"m" * (MOST_KEY_LENGTH + 1): MetricRecord({"loss": 0.5})},
}


@pytest.mark.parametrize("case", OVERSIZED)
def test_metrics_that_are_data_rather_than_metrics_stay(client: Client, caplog: pytest.LogCaptureFixture, case: str) -> None:
    """An app must not carry data past masks under the name of a metric."""
    client.trainer.reply = lambda message, new: Message(RecordDict({"arrays": new, **OVERSIZED[case]}), reply_to=message)
    assert set(client.deliver(client.commit_and_open()).content) == {RECORD}
    assert "metrics stay here: at most" in caplog.text


def test_one_number_leaves_for_each_name_and_no_more(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """An update must not leave as lists, nor as many records: past masks and payment."""
    update = [float(weight) for weight in range(100)]
    records = {
        "lists": MetricRecord({"loss": update, "num-examples": 3}),
        "first": MetricRecord({"loss": 0.5, "num-examples": 3}),
        "again": MetricRecord({"loss": 0.25, "num-examples": 3}),
    }
    client.trainer.reply = lambda message, new: Message(RecordDict({"arrays": new, **records}), reply_to=message)
    content = client.deliver(client.commit_and_open()).content
    assert {name for record in content.metric_records.values() for name in record} == {"loss"}
    assert [dict(record) for record in content.metric_records.values()] == [{"loss": 0.5}]
    assert caplog.text.count("metrics ['loss'] are not one finite number for each name, and stay here") == 2


def test_list_in_an_evaluation_stays(settled_client: Client) -> None:
    update = RecordDict({"metrics": MetricRecord({"loss": [0.5, 1.0]})})
    settled_client.trainer.evaluate_reply = lambda message: Message(update, reply_to=message)
    assert not settled_client.evaluate(make_model()).content


def test_metric_that_is_not_finite_stays(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """It would reach every average."""
    for value in (float("nan"), float("inf")):
        client.trainer.metrics = {"loss": value, "num-examples": 3}  # type: ignore[dict-item]
        assert set(client.deliver(client.commit_and_open()).content) == {RECORD}
        client.scene.time_out()
        anchor_model(client.scene, make_model())
    assert "metrics ['loss'] are not one finite number for each name, and stay here" in caplog.text


def test_clip_is_told_to_the_data_owner_by_layer_and_leaves_only_by_the_names_in_the_terms(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene, owner = lone_owner(tmp_path, clip_nano=10**8, metrics=("clipped", "clipped.body.bias", "clipped.body.weight", "loss"))
    client = make_client(owner)
    anchor_model(scene, make_model())
    changes = {
        "body.weight": np.array([5.0] * 12 + [0.01] * 8),
        "body.bias": np.full(4, 0.09),
        "head.weight": np.array([-0.2] + [0.0] * 17),
    }
    client.trainer.reply = lambda message, new: Message(
        RecordDict({"arrays": changed(make_model(), lambda name, array: array + changes[name].reshape(array.shape))}), reply_to=message
    )
    reply = client.train(make_model())
    assert not reply.has_error()
    assert "0.1 at most, which cuts 60.0% of body.weight (largest change 5), 5.6% of head.weight (largest change 0.2):" in caplog.text
    assert "body.bias" not in caplog.text
    assert b"body" not in raw(reply)
    content = client.deliver(open_with(scene, CommitReply.from_record(reply.content.config_records[RECORD]))).content
    assert dict(content["metrics"].items()) == {"clipped": 13 / 42, "clipped.body.bias": 0.0, "clipped.body.weight": 0.6}


@pytest.mark.parametrize(("share", "level"), [(0.009, "INFO"), (0.01, "WARNING")])
def test_clip_that_cuts_little_is_no_warning(share: float, level: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tell_cut(0.307397, [("body.weight", 0.001, 0.5), ("head.weight", share, 1.0)])
    (told,) = caplog.records
    assert told.levelname == level
    assert "may be 0.307 at most, which cuts" in told.getMessage()
    assert "ask the model owner for a larger clip (`--clip` of omnilytics local)" in told.getMessage()


def test_nothing_is_said_of_a_clip_that_cuts_nothing(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.commit()
    assert "clip" not in caplog.text


def changed_to(new: ArrayRecord, dtype: str) -> ArrayRecord:
    return ArrayRecord({name: Array(array.astype(dtype)) for name, array in arrays_of(new).items()})


def lying(new: ArrayRecord) -> ArrayRecord:
    """Arrays whose bytes are of another shape than they say."""
    other = Array(np.zeros(7, "float32")).data
    return ArrayRecord({name: Array(array.dtype, array.shape, array.stype, other) for name, array in new.items()})


OTHER = "same names, shapes and dtypes"
BAD_REPLIES: dict[str, tuple[Callable[[ArrayRecord], dict[str, ArrayRecord | MetricRecord]], str]] = {
    "other shape": (lambda new: {"arrays": ArrayRecord({**new, "body.bias": Array(np.zeros(5, "float32"))})}, OTHER),
    "other dtype": (lambda new: {"arrays": changed_to(new, "float64")}, OTHER),
    "integers": (lambda new: {"arrays": changed_to(new, "int32")}, OTHER),
    "missing array": (lambda new: {"arrays": ArrayRecord({"body.bias": new["body.bias"]})}, OTHER),
    "other order": (lambda new: {"arrays": ArrayRecord(dict(reversed(list(new.items()))))}, OTHER),
    "no arrays": (lambda new: {"metrics": MetricRecord({"loss": 1.0})}, "one ArrayRecord"),
    "two records": (lambda new: {"arrays": new, "again": new}, "one ArrayRecord"),
    "NaN": (lambda new: {"arrays": filled(new, np.nan)}, "entry 2 of parameter 'body.bias' is nan (1 of 4 are not finite)"),
    "infinity": (lambda new: {"arrays": filled(new, np.inf)}, "is inf"),
    "negative infinity": (lambda new: {"arrays": filled(new, -np.inf)}, "is -inf"),
    "liar about its shape": (lambda new: {"arrays": lying(new)}, ""),
}


@pytest.mark.parametrize("case", BAD_REPLIES)
def test_train_unusable_update_is_told_to_the_log_only(client: Client, caplog: pytest.LogCaptureFixture, case: str) -> None:
    make, reason = BAD_REPLIES[case]
    client.trainer.reply = lambda message, new: Message(RecordDict(make(new)), reply_to=message)  # type: ignore[arg-type]
    assert_tells_nothing(client.train(make_model()), *([reason] if reason else []))
    assert reason in caplog.text
    assert not client.owner.journal.entries()
    client.trainer.reply = None
    assert not client.train(make_model()).has_error(), "the next try commits"


@pytest.mark.parametrize(
    ("model", "shape"), [(make_model(names=("head.weight",)), (18,)), (ArrayRecord({"steps": Array(np.arange(42))}), (0,))]
)
def test_train_wrong_number_of_weights_is_told_to_the_log_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, model: ArrayRecord, shape: tuple[int]
) -> None:
    scene, owner = lone_owner(tmp_path)
    anchor_model(scene, model)
    client = make_client(owner, reply=lambda message, new: Message(RecordDict({"arrays": model}), reply_to=message))
    client.trainer.target = model
    assert_tells_nothing(client.train(model), str(shape))
    assert f"shape {shape}, expected (42,)" in caplog.text


SECRET = "patient 4711 weighs 0.125"
FAILURES = [ValueError(SECRET), Refused(SECRET), None]
"""What the user's function raises; None if it replies with an error."""


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("exchange", ["train", "evaluate"])
def test_failure_of_the_users_function_is_told_to_the_log_only(
    settled_client: Client, caplog: pytest.LogCaptureFixture, exchange: str, failure: Exception | None
) -> None:
    def fail(message: Message, new: ArrayRecord | None = None) -> Message:
        if failure is not None:
            raise failure
        return Message(Error(42, SECRET), reply_to=message)

    client = settled_client
    client.trainer.reply = client.trainer.evaluate_reply = fail
    reply = client.train(make_model()) if exchange == "train" else client.evaluate(make_model())
    assert not client.trainer.untouched
    assert_tells_nothing(reply, SECRET, "4711", "42", "ValueError", "Refused")
    assert SECRET in caplog.text
    assert not client.owner.journal.entries()


def test_failure_of_the_apps_model_is_told_to_the_log_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene, owner = lone_owner(tmp_path)
    anchor_model(scene, make_model())

    def fail(context: Context) -> ArrayRecord:
        raise ValueError(SECRET)

    client = make_client(owner, initial_model=fail)
    assert_tells_nothing(client.train(make_model()), SECRET, "4711", "ValueError")
    assert client.trainer.untouched
    assert SECRET in caplog.text


def test_evaluate_again_in_the_same_round_is_refused(settled_client: Client) -> None:
    assert not settled_client.evaluate(make_model()).has_error()
    assert "evaluated already" in reason_of(settled_client.evaluate(make_model()))
    assert len(settled_client.trainer.evaluated) == 1
    settle_model(settled_client.scene, make_model())
    assert not settled_client.evaluate(make_model()).has_error()


def test_evaluate_without_a_settled_round_is_refused(client: Client) -> None:
    assert_refused(client, client.evaluate(make_model()), "evaluations follow a settled round")
