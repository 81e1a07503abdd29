"""What the inner strategy will ask for next, found out one step early.

A settlement anchors the next task in the same transaction, so the strategy must know that task before Flower asks for it:
the inner strategy's own `configure_train` of the next round, and `configure_evaluate` of this one, are called with copies of the
configurations and kept until Flower asks. If Flower then asks for something else, nothing is lost: the task is anchored again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from ..errors import CannotCompose
from ..market.task import TaskParts, arrays_hash, config_hash
from .compat import Grid, Strategy
from .wire import config_entries, named_arrays


@dataclass(frozen=True, slots=True)
class Plan:
    """A task as the inner strategy would send it.

    Attributes
    ----------
    server_round : int
        Flower's round that trains it.
    arrays : bytes
        Hash of the public part.
    asked : bytes
        Hash of the train configuration that Flower passed in, before the inner strategy added to it.
    content : RecordDict or None
        What goes to a node for training; None if the inner strategy trains nobody.
    evaluate_content : RecordDict or None
    evaluate_nodes : tuple of int
    """

    server_round: int
    arrays: bytes
    asked: bytes
    content: RecordDict | None
    evaluate_content: RecordDict | None = None
    evaluate_nodes: tuple[int, ...] = ()

    def train_hash(self) -> bytes:
        """Hash of the train configuration as it will be sent."""
        return _content_hash(self.content)

    def evaluate_hash(self) -> bytes:
        """Hash of the evaluate configuration as it will be sent."""
        return _content_hash(self.evaluate_content)

    def parts(self) -> TaskParts:
        """What is anchored."""
        return TaskParts(self.arrays, self.train_hash(), self.evaluate_hash())


@dataclass(frozen=True, slots=True)
class InnerKeys:
    """Record keys and metric aggregation of the inner strategy."""

    inner: Strategy

    @property
    def weight(self) -> str:
        """Metric by which the inner strategy weighs replies."""
        return str(getattr(self.inner, "weighted_by_key", "num-examples"))

    @property
    def arrays(self) -> str:
        """Key of the ArrayRecord."""
        return str(getattr(self.inner, "arrayrecord_key", "arrays"))

    def aggregate_metrics(self, contents: list[RecordDict]) -> MetricRecord:
        """Train metrics of the replies, aggregated as the inner strategy would."""
        if not contents:
            return MetricRecord()
        aggregated = self.inner.train_metrics_aggr_fn(contents, self.weight)  # type: ignore[attr-defined]
        return MetricRecord(dict(aggregated.items()))


class Planner:
    """Asks the inner strategy early and remembers.

    Parameters
    ----------
    inner : Strategy
    """

    def __init__(self, inner: Strategy) -> None:
        self.keys = InnerKeys(inner)
        self._inner = inner
        self._train_config = ConfigRecord()
        self._evaluate_config = ConfigRecord()
        self._ahead: Plan | None = None

    def remember_evaluate_config(self, config: ConfigRecord | None) -> None:
        """Keep the evaluate configuration of the run, which Flower passes only after the first settlement."""
        self._evaluate_config = _copy(config)

    def train_plan(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Plan:
        """The task that Flower asks to train now: the one found ahead if it is the same."""
        self._train_config = _copy(config)
        hashed, asked = arrays_hash(named_arrays(arrays)), _config_hash(config)
        ahead = self._ahead
        if ahead is not None and (ahead.server_round, ahead.arrays, ahead.asked) == (server_round, hashed, asked):
            return ahead
        return self._plan(server_round, arrays, grid)

    def look_ahead(self, server_round: int, arrays: ArrayRecord, grid: Grid) -> Plan:
        """The task after `server_round`, with its evaluation in that round."""
        plan = self._plan(server_round + 1, arrays, grid)
        evaluate = list(self._inner.configure_evaluate(server_round, arrays, _copy(self._evaluate_config), grid))
        if evaluate:
            nodes = tuple(message.metadata.dst_node_id for message in evaluate)
            plan = replace(plan, evaluate_content=evaluate[0].content, evaluate_nodes=nodes)
        self._ahead = plan
        return plan

    def evaluate_plan(self, server_round: int, arrays: ArrayRecord) -> Plan | None:
        """The plan whose evaluation Flower asks for now, or None if it was not found ahead."""
        ahead = self._ahead
        if ahead is None or (ahead.server_round, ahead.arrays) != (server_round + 1, arrays_hash(named_arrays(arrays))):
            return None
        return ahead

    def _plan(self, server_round: int, arrays: ArrayRecord, grid: Grid) -> Plan:
        config = _copy(self._train_config)
        asked = _config_hash(config)
        messages = list(self._inner.configure_train(server_round, arrays, config, grid))
        return Plan(server_round, arrays_hash(named_arrays(arrays)), asked, _common_content(messages))


def _common_content(messages: Iterable[Message]) -> RecordDict | None:
    """The one content of all messages; a strategy that sends different ones to different nodes cannot run in a market."""
    contents = [message.content for message in messages]
    if not contents:
        return None
    first = contents[0]
    if any(content is not first and _content_hash(content) != _content_hash(first) for content in contents):
        raise CannotCompose(
            "the strategy sends different configurations to different nodes; in a market everybody trains the one task that is anchored"
        )
    return first


def _content_hash(content: RecordDict | None) -> bytes:
    configs = [] if content is None else list(content.config_records.values())
    return _config_hash(configs[0] if configs else ConfigRecord())


def _config_hash(config: ConfigRecord) -> bytes:
    return config_hash(config_entries(config))  # type: ignore[arg-type]


def _copy(config: ConfigRecord | None) -> ConfigRecord:
    return ConfigRecord(dict(config.items())) if config is not None else ConfigRecord()
