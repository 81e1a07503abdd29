"""Metrics of data owners: weighed, and left out if they are unlike the others'."""

from __future__ import annotations

import pytest
from flwr.app import ConfigRecord, MetricRecord, RecordDict

from omnilytics_flwr.flower.metrics import agreeing, examples_in, permitted, weighted
from tests.flower.clients import make_model

W = "num-examples"


def reply(**metrics: object) -> RecordDict:
    return RecordDict({"metrics": MetricRecord(metrics)})  # type: ignore[arg-type]


def test_weighted_adds_one_where_the_weight_was_kept_back_and_drops_other_records() -> None:
    content = RecordDict({"a": MetricRecord({"loss": 1.0}), "b": MetricRecord({W: 7}), "c": ConfigRecord({"x": 1}), "d": make_model()})
    got = weighted(content, W)
    assert {key: dict(record) for key, record in got.metric_records.items()} == {"a": {"loss": 1.0, W: 1.0}, "b": {W: 7}}
    assert set(got) == {"a", "b"}
    assert dict(weighted(RecordDict(), W).metric_records["metrics"]) == {W: 1.0}


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), [1]])
def test_agreeing_leaves_out_what_weighs_nothing_sensible_even_if_most_do(weight: object) -> None:
    contents = [reply(loss=1.0, **{W: weight}), reply(loss=1.0, **{W: weight}), reply(loss=1.0, **{W: 1})]
    assert agreeing(contents, W) == [False, False, True]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, [0.0, float("nan")]])
def test_agreeing_leaves_out_what_an_average_would_not_survive(value: float) -> None:
    assert agreeing([reply(loss=value, **{W: 1}), reply(loss=1.0, **{W: 1})], W) == [False, True]


def test_agreeing_leaves_out_a_weight_that_would_speak_for_everybody() -> None:
    weights = [1, 2, 3, 200, 201, 10**15, 1e308]
    assert agreeing([reply(loss=1.0, **{W: weight}) for weight in weights], W) == [True] * 5 + [False] * 2


def test_permitted_are_the_named_metrics_and_no_flood_of_them() -> None:
    content = RecordDict({"a": MetricRecord({"loss": 1.0, "secret": 2.0}), "b": make_model(), "c": MetricRecord({"more": 1})})
    kept, dropped = permitted(content, ("loss",))
    assert {key: dict(record.items()) for key, record in kept.items()} == {"a": {"loss": 1.0}}
    assert dropped == "secret, ArrayRecord 'b', more"
    assert permitted(reply(loss=1.0), ("loss",)) == (reply(loss=1.0), "")
    assert permitted(reply(loss=[0.0], num=1), ("loss", "num")) == (reply(num=1), "loss"), "no list is a metric"
    flood = RecordDict({str(number): MetricRecord({"loss": 1.0}) for number in range(1000)})
    assert len(permitted(flood, ("loss",))[0]) == 16
    assert permitted(RecordDict({"x" * 1000: MetricRecord({"loss": 1.0})}), ("loss",))[0] == RecordDict()
    assert permitted(reply(**{f"m{number}": 1.0 for number in range(20)}), ())[1].endswith("m15 and 4 more")


def test_agreeing_leaves_lists_out_even_if_most_report_them() -> None:
    contents = [reply(x=value, **{W: 1}) for value in ([1.0, 2.0], [1.0, 2.0], 1.0)]
    assert agreeing(contents, W) == [False, False, True]


def test_agreeing_of_nothing_is_nothing() -> None:
    assert agreeing([], W) == []
    assert agreeing([reply(**{W: 0})], W) == [False]


def test_examples_are_a_number_that_can_be_stated() -> None:
    assert [examples_in(reply(**{W: number}), W) for number in (1, 12.0, 12.6, 2**32 - 1)] == [1, 12, 13, 2**32 - 1]
    strange = [reply(**{W: number}) for number in (0, 0.4, -3, 2**32, float("nan"), float("inf"), [12])]
    assert [examples_in(content, W) for content in (*strange, reply(loss=1.0), RecordDict())] == [0] * 9
