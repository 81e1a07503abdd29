"""How far a run has come, as its run directory holds it, and how another process resumes it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import UnionType
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord

from ..errors import Malformed, TermsError
from ..model_owner.run_directory import Record, RunDirectory
from .compat import Result
from .inner_strategy import InnerStrategy
from .state_codec import Arrays, decode_value, encode_value
from .weights import difference
from .wire import hash_of_config

PROGRESS, RESULTS = "progress", "results"
TRAIN, EVALUATE, SERVER = KINDS = "train", "evaluate", "server"
"""Kinds of results: what data owners report of training and of evaluation, and what the server's own evaluation gives."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A run after one of its rounds.

    Attributes
    ----------
    server_round : int
        Flower's rounds that are done.
    arrays : ArrayRecord
        The whole model.
    state : mapping
        Encoded state of the inner strategy before it was asked for the next round; arrays by name in `state_arrays`.
    train_config, evaluate_config : ConfigRecord
        As the inner strategy left them.
    metrics : MetricRecord or None
        Of the round's training.
    ahead : bool
        Whether the settlement anchored the next task.
    """

    server_round: int
    arrays: ArrayRecord
    state: Mapping[str, Any] = field(default_factory=dict)
    state_arrays: Arrays = field(default_factory=dict)
    train_config: ConfigRecord = field(default_factory=ConfigRecord)
    evaluate_config: ConfigRecord = field(default_factory=ConfigRecord)
    metrics: MetricRecord | None = None
    ahead: bool = False

    def to_record(self, **more: object) -> Record:
        """Encode."""
        arrays = dict(self.state_arrays)
        facts = {name: encode_value(getattr(self, name), arrays) for name in _ENCODED}
        return Record(facts | {"state": dict(self.state)} | more, arrays)

    @classmethod
    def from_record(cls, record: Record) -> Progress:
        """Decode; raises `Malformed`."""
        values = {name: decode_value(record.facts.get(name), record.arrays) for name in _ENCODED}
        for name, kind in _ENCODED.items():
            if not isinstance(values[name], kind):
                raise Malformed(f"the run's {name} is saved as {type(values[name]).__name__}, expected {kind}; put it back from a copy")
        return cls(**values, state=record.facts.get("state", {}), state_arrays=dict(record.arrays))


_ENCODED: dict[str, type | UnionType] = {
    "server_round": int,
    "arrays": ArrayRecord,
    "train_config": ConfigRecord,
    "evaluate_config": ConfigRecord,
    "metrics": MetricRecord | None,
    "ahead": bool,
}
"""Fields of `Progress` that are encoded one by one, and what they decode to; the state is encoded already."""


class RunMemory:
    """Remembers a run: in the run directory if there is one, else for as long as the process lives."""

    def __init__(self, path: Path | None, inner: InnerStrategy) -> None:
        self.directory = None if path is None else RunDirectory(path)
        self._inner = inner
        self._given: list[str] = []
        self._settings: dict[str, Any] = {}
        self._results: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}

    def held(self) -> AbstractContextManager[None]:
        """Hold the run directory against other processes; on entering, `Refused` if one has it."""
        return nullcontext() if self.directory is None else self.directory.locked()

    def begin(self, arrays: ArrayRecord, train_config: ConfigRecord, evaluate_config: ConfigRecord) -> Progress:
        """Where the run stands; a new run begins with these.

        Raises
        ------
        TermsError
            The run directory is of another model or strategy.
        CannotCompose
            Some state of the strategy cannot be saved.
        """
        self._results, self._settings = {kind: {} for kind in KINDS}, {}
        first = Progress(0, arrays, train_config=train_config, evaluate_config=evaluate_config)
        if self.directory is None:
            return first
        self._inner.check_state()
        self._given = [hash_of_config(train_config).hex(), hash_of_config(evaluate_config).hex()]
        record, results = self.directory.read(PROGRESS), self.directory.read(RESULTS)
        if record is None:
            self.save(first)
            return first
        if results is not None:
            self._results = {kind: dict(results.facts[kind]) for kind in self._results}
        progress = Progress.from_record(record)
        self._check_same_run(self.directory.path, record, progress.arrays, arrays)
        if record.facts.get("given") != self._given:  # the operator has changed the settings since the run began: the new ones count
            self._settings = {"train_config": train_config, "evaluate_config": evaluate_config, "ahead": False}
            progress = replace(progress, **self._settings)
        self._inner.decode_state(progress.state, progress.state_arrays)
        return progress

    def adopt(self, outcome: Record | None, progress: Progress) -> Progress:
        """The progress that a settlement brought, if `progress` does not have it yet."""
        if outcome is None or outcome.facts["server_round"] <= progress.server_round:
            return progress
        found = Progress.from_record(outcome)
        self._inner.decode_state(found.state, found.state_arrays)
        return replace(found, **self._settings)

    def capture(self, progress: Progress) -> Progress:
        """`progress` with the inner strategy's present state."""
        if self.directory is None:
            return progress
        arrays: Arrays = {}
        return replace(progress, state=self._inner.encode_state(arrays), state_arrays=arrays)

    def save(self, progress: Progress) -> None:
        """Write down how far the run has come."""
        self.note(TRAIN, progress.server_round, progress.metrics)
        if self.directory is not None:
            self.directory.write(PROGRESS, progress.to_record(strategy=self._inner.name, given=self._given))

    def note(self, kind: str, server_round: int, metrics: MetricRecord | None) -> None:
        """Write down a result."""
        if metrics is None:
            return
        self._results[kind][str(server_round)] = encode_value(metrics, {})
        if self.directory is not None:
            self.directory.write(RESULTS, Record(self._results))

    def result(self, kind: str, server_round: int) -> MetricRecord | None:
        """A result that was written down."""
        found: MetricRecord | None = decode_value(self._results[kind].get(str(server_round)), {})
        return found

    def complete(self, result: Result) -> None:
        """Put the results of all rounds, those before a restart too, in place of those that Flower counted from 1 on."""
        for kind, held in (
            (TRAIN, result.train_metrics_clientapp),
            (EVALUATE, result.evaluate_metrics_clientapp),
            (SERVER, result.evaluate_metrics_serverapp),
        ):
            held.clear()
            noted = self._results[kind]
            held.update({number: decode_value(noted[str(number)], {}) for number in sorted(map(int, noted))})

    def _check_same_run(self, path: Path, record: Record, saved: ArrayRecord, given: ArrayRecord) -> None:
        strategy = record.facts.get("strategy")
        if strategy != self._inner.name:
            raise TermsError(
                f"{path} is of a run of {strategy}, this is {self._inner.name}; go on with that strategy, or name another directory"
            )
        wrong = difference(saved, given)
        if wrong:
            raise TermsError(f"{path} is of a run of another model: {wrong}; go on with that model, or name another directory")
