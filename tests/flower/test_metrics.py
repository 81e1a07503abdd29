"""Metrics of data owners: weighed, and left out if they are unlike the others'."""

from __future__ import annotations

import pytest
from flwr.app import ConfigRecord, MetricRecord, RecordDict

from omnilytics_flwr.flower.metrics import agreeing, weighted
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


def test_agreeing_tells_lists_by_their_length() -> None:
    contents = [reply(x=value, **{W: 1}) for value in ([1.0, 2.0], [1.0, 2.0], [1.0], 1.0)]
    assert agreeing(contents, W) == [True, True, False, False]


def test_agreeing_of_nothing_is_nothing() -> None:
    assert agreeing([], W) == []
    assert agreeing([reply(**{W: 0})], W) == [False]
