"""Metrics that data owners report. Nobody vouches for them, so no metric may spoil a round for the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from logging import WARNING
from typing import Any, cast

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from ..market.examples import MOST_EXAMPLES
from .compat import log
from .wire import RECORD

MOST_RECORDS, MOST_KEY_LENGTH = 16, 64
"""Of a data owner's metrics in one reply; what is longer is no metric, but data."""
MOST_VALUE = 1e100
"""Absolute value above which a metric counts as none: averages of larger ones overflow."""
MOST_WEIGHT = 100
"""How many times the median of all weights a weight may be; a larger one would speak for everybody."""

CLIPPED = "clipped"
"""Metric that the mod adds where the terms name it: the share of all weights that the clip has cut. ``clipped.NAME`` is that of a parameter."""

TOLD = "omnilytics-told"
"""Key in a client's state of the metrics that it was told of."""

Shape = tuple[tuple[str, tuple[str, ...]], ...]


def allowed_metrics(content: RecordDict, allowed: Collection[str]) -> RecordDict:
    """The metrics that may leave a data owner: named by the terms, one finite number for each name, in no more records than anybody needs.

    A list could be an update, past masks and payment. A name may come again, as a weight does in every record, but with the same number.
    """
    records, numbers = RecordDict(), dict[str, Any]()
    for key, record in content.metric_records.items():
        named = {name: value for name, value in record.items() if name in allowed}
        kept = {name: value for name, value in named.items() if _is_number(value) and numbers.setdefault(name, value) == value}
        if len(kept) < len(named):
            log(WARNING, "metrics %s are not one finite number for each name, and stay here", sorted(set(named) - set(kept)))
        if kept and (len(records) == MOST_RECORDS or len(key) > MOST_KEY_LENGTH):
            log(WARNING, "metrics stay here: at most %s records leave, with keys of %s characters", MOST_RECORDS, MOST_KEY_LENGTH)
            return RecordDict()
        if kept:
            records[key] = MetricRecord(kept)
    return records


def examples_in(content: RecordDict, weight: str) -> int:
    """On how many examples a client says that it trained, by the metric `weight`; 0 if it does not say, or no such number."""
    found = next((record[weight] for record in content.metric_records.values() if weight in record), 0)
    return round(found) if _is_weight(found) and found <= MOST_EXAMPLES else 0  # type: ignore[arg-type, operator]


def tell_kept_back(content: RecordDict, allowed: Collection[str], state: RecordDict) -> None:
    """Tell the data owner, once in a run, which metrics the terms keep back; `state` is that of its context.

    Nobody else is told: the names too are what the app makes of its data.
    """
    told = state.config_records.get(TOLD, ConfigRecord({TOLD: []}))
    new = sorted({name for record in content.metric_records.values() for name in record} - {*allowed, *cast(list[str], told[TOLD])})
    if new:
        state[TOLD] = ConfigRecord({TOLD: [*cast(list[str], told[TOLD]), *new]})
        log(
            WARNING,
            "metrics %s stay here: the market's terms do not name them; a market with them in its terms' `metrics` lets them leave",
            new,
        )


def reported(kind: str, contents: Sequence[RecordDict], allowed: Sequence[str], *, advised: bool) -> str:
    """Which metrics of `kind` came from how many data owners, with advice or without; what the terms keep back cannot be known here."""
    sent = Counter(", ".join(sorted({name for record in one.metric_records.values() for name in record})) or "none" for one in contents)
    counts = "; ".join(f"{count} of {len(contents)} data owners send {names}" for names, count in sent.most_common(MOST_RECORDS))
    said = f"Metrics of {kind}: {counts}. The terms let leave: {', '.join(allowed) or 'none'}"
    if not advised:
        return said
    return (
        f"{said}. Others that the app reports stay with the data owners, whose logs name them; a market with them in its terms' `metrics` "
        "lets them leave" + (". Averages are over what most send" if len(sent) > 1 else "")
    )


def with_clipped(content: RecordDict, whole: float, shares: Mapping[str, float]) -> RecordDict:
    """What a client reports with the shares that the clip cut, in its first record of metrics: strategies expect no more than one."""
    told = {CLIPPED: whole} | {f"{CLIPPED}.{name}": share for name, share in shares.items()}
    records = dict(content.metric_records.items()) or {"metrics": MetricRecord()}
    first = next(iter(records))
    return RecordDict({**records, first: MetricRecord({**dict(records[first].items()), **told})})


def plain_metrics(found: Any) -> MetricRecord | None:
    """What a callback gave, as a record of Python's own numbers: numpy's pass for such, but cannot be written down.

    Raises
    ------
    TypeError, ValueError, AttributeError
        It is no metrics.
    """
    if found is None:
        return None
    return MetricRecord({name: np.asarray(value).tolist() for name, value in found.items()})


def permitted(content: RecordDict, names: Collection[str]) -> tuple[RecordDict, str]:
    """What a reply may bring: single numbers of these names, not too many; and a clause of what it brings besides, empty if nothing."""
    kept, dropped = RecordDict(), list[str]()
    for key, record in content.items():
        if key == RECORD:
            continue
        if not isinstance(record, MetricRecord):
            dropped.append(f"{type(record).__name__} {key[:MOST_KEY_LENGTH]!r}")
            continue
        good = {name: value for name, value in record.items() if name in names and not isinstance(record[name], list)}
        if len(kept) == MOST_RECORDS or len(key) > MOST_KEY_LENGTH:
            good = {}
        dropped += [name[:MOST_KEY_LENGTH] for name in record if name not in good]
        if good:
            kept[key] = MetricRecord(good)
    listed = ", ".join(dropped[:MOST_RECORDS])
    return kept, listed + (f" and {len(dropped) - MOST_RECORDS} more" if len(dropped) > MOST_RECORDS else "")


def weighted(content: RecordDict, weight: str) -> RecordDict:
    """The metrics of a reply and nothing else, with the weight 1 wherever the terms keep the real one back."""
    records: dict[str, ArrayRecord | MetricRecord | ConfigRecord] = {
        key: record if weight in record else MetricRecord({**dict(record.items()), weight: 1.0})
        for key, record in content.metric_records.items()
    }
    return RecordDict(records or {"metrics": MetricRecord({weight: 1.0})})


def agreeing(contents: Sequence[RecordDict], weight: str) -> list[bool]:
    """Which replies report what most report: the same names, finite numbers, and a weight like the others'.

    Averages over the others would fail or be theirs alone, and a strategy that fails between opening and settling costs the model owner
    its bond.
    """
    shapes = [_shape(content, weight) for content in contents]
    common = Counter(shape for shape in shapes if shape is not None).most_common(1)
    alike = [bool(common) and shape == common[0][0] for shape in shapes]
    weights = sorted(_most_weight(content, weight) for content, good in zip(contents, alike, strict=True) if good)
    most = MOST_WEIGHT * weights[(len(weights) - 1) // 2] if weights else 0.0
    return [good and _most_weight(content, weight) <= most for content, good in zip(contents, alike, strict=True)]


def _shape(content: RecordDict, weight: str) -> Shape | None:
    """Names of a reply's metrics by record; None if a weight or a value is no number, or if two records report the same metric, which an
    average over records would mix up or fail on.
    """
    records = content.metric_records
    names = Counter(name for record in records.values() for name in record if name != weight)
    if not all(_is_weight(record.get(weight)) for record in records.values()) or any(count > 1 for count in names.values()):
        return None
    if not all(_is_number(value) for record in records.values() for value in record.values()):
        return None
    return tuple(sorted((key, tuple(sorted(record))) for key, record in records.items()))


def _most_weight(content: RecordDict, weight: str) -> float:
    return max(float(record[weight]) for record in content.metric_records.values())  # type: ignore[arg-type]


def _is_weight(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < math.inf


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= MOST_VALUE
