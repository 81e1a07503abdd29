"""Metrics that data owners report. Nobody vouches for them, so no metric may spoil a round for the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

Shape = tuple[tuple[str, tuple[tuple[str, int], ...]], ...]


def weighted(content: RecordDict, weight: str) -> RecordDict:
    """The metrics of a reply and nothing else, with the weight 1 wherever the terms keep the real one back."""
    records: dict[str, ArrayRecord | MetricRecord | ConfigRecord] = {
        key: record if weight in record else MetricRecord({**dict(record.items()), weight: 1.0})
        for key, record in content.metric_records.items()
    }
    return RecordDict(records or {"metrics": MetricRecord({weight: 1.0})})


def agreeing(contents: Sequence[RecordDict], weight: str) -> list[bool]:
    """Which replies report what most report: the same names and lengths of lists, and a weight above zero.

    Averages over the others would fail, and a strategy that fails between opening and settling costs the model owner its bond.
    """
    shapes = [_shape(content, weight) for content in contents]
    common = Counter(shape for shape in shapes if shape is not None).most_common(1)
    return [bool(common) and shape == common[0][0] for shape in shapes]


def _shape(content: RecordDict, weight: str) -> Shape | None:
    """Names of a reply's metrics with the lengths of lists, -1 for single values; None if a weight is none, or if two records
    report the same metric, which an average over records would mix up or fail on.
    """
    records = content.metric_records
    names = Counter(name for record in records.values() for name in record if name != weight)
    if not all(_is_weight(record.get(weight)) for record in records.values()) or any(count > 1 for count in names.values()):
        return None
    lengths = {
        key: tuple(sorted((name, len(value) if isinstance(value, list) else -1) for name, value in record.items()))
        for key, record in records.items()
    }
    return tuple(sorted(lengths.items()))


def _is_weight(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < math.inf
