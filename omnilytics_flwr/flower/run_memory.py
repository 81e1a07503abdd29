"""How far a run has come: what its run directory holds of it, and how another process goes on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord

from ..errors import Malformed, TermsError
from ..market.task import config_hash
from ..model_owner.run_directory import Record, RunDirectory
from .compat import Result, Strategy
from .inner_strategy import Arrays, InnerState, decode_arrays, decode_plain, encode_arrays, encode_plain
from .weights import difference
from .wire import config_entries

PROGRESS, RESULTS = "progress", "results"
TRAIN, EVALUATE, SERVER = "train", "evaluate", "server"
"""Kinds of results: what data owners report of training and evaluation, and what the server's own evaluation gives."""


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
        Of the inner strategy, encoded, before it was asked for the round that follows; arrays by name in `state_arrays`.
    train_config, evaluate_config : ConfigRecord
        As the inner strategy left them.
    metrics : MetricRecord or None
        Of the round's training.
    ahead : bool
        Whether its settlement anchored the task that follows.
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
        facts = {
            "server_round": self.server_round,
            "arrays": encode_arrays(self.arrays, arrays),
            "state": dict(self.state),
            "train_config": encode_plain(self.train_config),
            "evaluate_config": encode_plain(self.evaluate_config),
            "metrics": None if self.metrics is None else encode_plain(self.metrics),
            "ahead": self.ahead,
        }
        return Record(facts | more, arrays)

    @classmethod
    def from_record(cls, record: Record) -> Progress:
        """Decode; raises `Malformed`."""
        facts = record.facts
        try:
            return cls(
                server_round=int(facts["server_round"]),
                arrays=decode_arrays(facts["arrays"], record.arrays),
                state=facts["state"],
                state_arrays=dict(record.arrays),
                train_config=ConfigRecord(decode_plain(facts["train_config"])),
                evaluate_config=ConfigRecord(decode_plain(facts["evaluate_config"])),
                metrics=None if facts["metrics"] is None else MetricRecord(decode_plain(facts["metrics"])),
                ahead=bool(facts["ahead"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Malformed(
                f"the run's progress does not decode ({error!r}); expected it as it was saved; put it back from a copy"
            ) from error


class RunMemory:
    """Remembers a run; without a run directory, for as long as the process lives.

    Parameters
    ----------
    path : Path or None
        The run directory.
    inner : Strategy
    """

    def __init__(self, path: Path | None, inner: Strategy) -> None:
        self.directory = None if path is None else RunDirectory(path)
        self.inner = InnerState(inner)
        self._strategy = type(inner).__name__
        self._given: tuple[str, str] = ("", "")
        self._settings: dict[str, Any] = {}
        self._results: dict[str, dict[str, Any]] = _no_results()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run directory against other processes; raises `Refused` if one has it."""
        if self.directory is None:
            yield
        else:
            with self.directory.locked():
                yield

    def begin(self, arrays: ArrayRecord, train_config: ConfigRecord, evaluate_config: ConfigRecord) -> Progress:
        """Where the run stands; a run that has not begun begins with these.

        Raises
        ------
        TermsError
            The run directory is of another model or strategy.
        CannotCompose
            Something of the strategy cannot be saved.
        """
        self._results, self._settings = _no_results(), {}
        first = Progress(0, arrays, train_config=train_config, evaluate_config=evaluate_config)
        if self.directory is None:
            return first
        self.inner.check()
        self._given = (_hash(train_config), _hash(evaluate_config))
        record, results = self.directory.read(PROGRESS), self.directory.read(RESULTS)
        if record is None:
            self.save(first)
            return first
        if results is not None:
            self._results = {kind: dict(results.facts[kind]) for kind in self._results}
        progress, given = self._checked(Progress.from_record(record), arrays, record), tuple(record.facts.get("given", ()))
        if given != self._given:  # other settings than the run began with: they count
            self._settings = {"train_config": train_config, "evaluate_config": evaluate_config, "ahead": False}
            progress = replace(progress, **self._settings)
        self.inner.decode(progress.state, progress.state_arrays)
        return progress

    def adopt(self, outcome: Record | None, progress: Progress) -> Progress:
        """The progress that a settlement brought, if it is not in `progress` yet."""
        if outcome is None or outcome.facts["server_round"] <= progress.server_round:
            return progress
        found = Progress.from_record(outcome)
        self.inner.decode(found.state, found.state_arrays)
        return replace(found, **self._settings)

    def capture(self, progress: Progress) -> Progress:
        """`progress` with the inner strategy's state as it is now."""
        if self.directory is None:
            return progress
        arrays: Arrays = {}
        return replace(progress, state=self.inner.encode(arrays), state_arrays=arrays)

    def save(self, progress: Progress) -> None:
        """Write down how far the run has come."""
        if progress.metrics is not None:
            self.note(TRAIN, progress.server_round, progress.metrics)
        if self.directory is not None:
            self.directory.write(PROGRESS, progress.to_record(strategy=self._strategy, given=list(self._given)))

    def note(self, kind: str, server_round: int, metrics: MetricRecord | None) -> None:
        """Write down a result."""
        if metrics is None:
            return
        self._results[kind][str(server_round)] = encode_plain(metrics)
        if self.directory is not None:
            self.directory.write(RESULTS, Record(self._results))

    def result(self, kind: str, server_round: int) -> MetricRecord | None:
        """A result that was written down."""
        found = self._results[kind].get(str(server_round))
        return None if found is None else MetricRecord(decode_plain(found))

    def complete(self, result: Result) -> None:
        """Put the results of all rounds, those before a restart too, in place of those that Flower counted from 1 on."""
        for kind, held in (
            (TRAIN, result.train_metrics_clientapp),
            (EVALUATE, result.evaluate_metrics_clientapp),
            (SERVER, result.evaluate_metrics_serverapp),
        ):
            held.clear()
            for number in sorted(map(int, self._results[kind])):
                metrics = self.result(kind, number)
                if metrics is not None:
                    held[number] = metrics

    def _checked(self, progress: Progress, arrays: ArrayRecord, record: Record) -> Progress:
        where = "" if self.directory is None else str(self.directory.path)
        strategy = record.facts.get("strategy")
        if strategy != self._strategy:
            raise TermsError(
                f"{where} is of a run of {strategy}, this is {self._strategy}; go on with that strategy, or name another directory"
            )
        wrong = difference(progress.arrays, arrays)
        if wrong:
            raise TermsError(f"{where} is of a run of another model: {wrong}; go on with that model, or name another directory")
        return progress


def _no_results() -> dict[str, dict[str, Any]]:
    return {TRAIN: {}, EVALUATE: {}, SERVER: {}}


def _hash(config: ConfigRecord) -> str:
    return config_hash(config_entries(config)).hex()  # type: ignore[arg-type]
