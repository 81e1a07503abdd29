"""What the inner strategy will ask for next, found out one step early.

A settlement anchors the next task in the same transaction, so the strategy must know that task before Flower asks for it:
the inner strategy's own `configure_train` of the next round, and `configure_evaluate` of this one, are called with copies of the
configurations and kept until Flower asks. If Flower then asks for something else, nothing is lost: the task is anchored again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from ..errors import CannotCompose
from ..market.task import ConfigScalar, TaskParts, arrays_hash, config_hash
from .compat import Grid, Strategy
from .metrics import agreeing, weighted
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
    run_config : bytes
        Hash of the run config.
    content : RecordDict or None
        What goes to a node for training; None if the inner strategy trains nobody.
    config : ConfigRecord
        The train configuration of the run as the inner strategy left it.
    evaluate_content : RecordDict or None
    evaluate_nodes : tuple of int
    evaluate_config : ConfigRecord
        The evaluate configuration of the run as the inner strategy left it.
    """

    server_round: int
    arrays: bytes
    asked: bytes
    run_config: bytes
    content: RecordDict | None
    config: ConfigRecord
    evaluate_content: RecordDict | None = None
    evaluate_nodes: tuple[int, ...] = ()
    evaluate_config: ConfigRecord = field(default_factory=ConfigRecord)

    def train_hash(self) -> bytes:
        """Hash of the train configuration as it will be sent."""
        return _content_hash(self.content)

    def evaluate_hash(self) -> bytes:
        """Hash of the evaluate configuration as it will be sent."""
        return _content_hash(self.evaluate_content)

    def parts(self) -> TaskParts:
        """What is anchored."""
        return TaskParts(self.arrays, self.train_hash(), self.evaluate_hash(), self.run_config)


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

    def aggregate_train(
        self, server_round: int, mean: Message, replies: list[RecordDict]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """What the inner strategy makes of the mean; of the metrics it sees those of all replies that agree."""
        inner: Any = self.inner
        contents = [weighted(content, self.weight) for content in replies]
        alike = [content for content, good in zip(contents, agreeing(contents, self.weight), strict=True) if good]
        aggregate = inner.train_metrics_aggr_fn
        inner.train_metrics_aggr_fn = lambda _, weight: aggregate(alike, weight)
        try:
            return self.inner.aggregate_train(server_round, [mean])
        finally:
            inner.train_metrics_aggr_fn = aggregate


class Planner:
    """Asks the inner strategy early and remembers.

    Parameters
    ----------
    inner : Strategy
    run_config : mapping of str to scalar (default: empty)
        Flower's run config.
    """

    def __init__(self, inner: Strategy, run_config: Mapping[str, ConfigScalar] | None = None) -> None:
        self._run_config = config_hash(run_config or {})
        self.keys = InnerKeys(inner)
        self._inner = inner
        self._train_config = ConfigRecord()
        self._evaluate_config = ConfigRecord()
        self._ahead: Plan | None = None

    def restore(
        self, train_config: ConfigRecord, evaluate_config: ConfigRecord, asked_train: ConfigRecord, asked_evaluate: ConfigRecord
    ) -> None:
        """Take up the configurations of the run, as the inner strategy last left them.

        Parameters
        ----------
        train_config, evaluate_config : ConfigRecord
            Of the run so far; Flower passes the evaluate configuration only after the first settlement.
        asked_train, asked_evaluate : ConfigRecord
            What Flower will pass in; made the same.
        """
        self._train_config = _overwrite(asked_train, _copy(train_config))
        self._evaluate_config = _overwrite(asked_evaluate, _copy(evaluate_config))

    def configs(self) -> tuple[ConfigRecord, ConfigRecord]:
        """Train and evaluate configuration as the inner strategy left them; copies."""
        return _copy(self._train_config), _copy(self._evaluate_config)

    def train_plan(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Plan:
        """The task that Flower asks to train now: the one found ahead if it is the same.

        `config` is left as the inner strategy leaves it, which may lower a learning rate in it from round to round.
        """
        self._train_config = _copy(config)
        asked = (server_round, arrays_hash(named_arrays(arrays)), _config_hash(config))
        plan = self._ahead
        if plan is None or (plan.server_round, plan.arrays, plan.asked) != asked:
            plan = self._plan(server_round, arrays, grid)
        self._train_config = _overwrite(config, plan.config)
        return plan

    def look_ahead(self, server_round: int, arrays: ArrayRecord, grid: Grid) -> Plan:
        """The task after `server_round`, with its evaluation in that round."""
        plan = self._plan(server_round + 1, arrays, grid)
        config = _copy(self._evaluate_config)
        evaluate = list(self._inner.configure_evaluate(server_round, arrays, config, grid))
        nodes = tuple(message.metadata.dst_node_id for message in evaluate)
        content = _common_content(evaluate, arrays)
        self._ahead = replace(plan, evaluate_content=content, evaluate_nodes=nodes, evaluate_config=_copy(config))
        return self._ahead

    def evaluate_plan(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord) -> Plan | None:
        """The plan whose evaluation Flower asks for now, or None if it was not found ahead; `config` as in `train_plan`."""
        ahead = self._ahead
        if ahead is None or (ahead.server_round, ahead.arrays) != (server_round + 1, arrays_hash(named_arrays(arrays))):
            return None
        self._evaluate_config = _overwrite(config, ahead.evaluate_config)
        return ahead

    def _plan(self, server_round: int, arrays: ArrayRecord, grid: Grid) -> Plan:
        config = _copy(self._train_config)
        asked = _config_hash(config)
        messages = list(self._inner.configure_train(server_round, arrays, config, grid))
        content = _common_content(messages, arrays)
        return Plan(server_round, arrays_hash(named_arrays(arrays)), asked, self._run_config, content, _copy(config))


def _common_content(messages: Iterable[Message], arrays: ArrayRecord) -> RecordDict | None:
    """The one content of all messages; a strategy that sends different ones to different nodes cannot run in a market."""
    contents = list({id(message.content): message.content for message in messages}.values())
    for content in contents:
        _check_content(content, arrays)
    if len({_content_hash(content) for content in contents}) > 1:
        raise CannotCompose(
            "the strategy sends different configurations to different nodes; in a market everybody trains the one task that is anchored"
        )
    return contents[0] if contents else None


def _check_content(content: RecordDict, arrays: ArrayRecord) -> None:
    """Refuse what the mod would refuse."""
    sent = list(content.array_records.values())
    if len(sent) != 1 or (sent[0] is not arrays and arrays_hash(named_arrays(sent[0])) != arrays_hash(named_arrays(arrays))):
        raise CannotCompose("the strategy sends other arrays than it was given; in a market everybody gets the one model that is anchored")
    if len(content.config_records) > 1 or content.metric_records:
        raise CannotCompose("the strategy sends more than arrays and one configuration; put all settings into that one")


def _content_hash(content: RecordDict | None) -> bytes:
    configs = [] if content is None else list(content.config_records.values())
    return _config_hash(configs[0] if configs else ConfigRecord())


def _config_hash(config: ConfigRecord) -> bytes:
    return config_hash(config_entries(config))  # type: ignore[arg-type]


def _overwrite(config: ConfigRecord, after: ConfigRecord) -> ConfigRecord:
    """Make `config` what `after` is; a copy of it."""
    config.clear()
    config.update(after.items())
    return _copy(after)


def _copy(config: ConfigRecord | None) -> ConfigRecord:
    return ConfigRecord(dict(config.items())) if config is not None else ConfigRecord()
