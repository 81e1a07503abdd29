"""Finds out one step early what the inner strategy will ask for next.

A settlement anchors the next task in the same transaction, so the task must be known before Flower asks for it. This module calls the inner
strategy's `configure_train` of the next round and its `configure_evaluate` of this one early, with copies of the configurations, and keeps
what they give until Flower asks. If Flower then asks for something else, nothing is lost: the task is anchored again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from ..market.task import ConfigScalar, TaskParts, config_hash
from .compat import Grid
from .inner_strategy import InnerStrategy
from .steady_grid import NodesAreGone
from .wire import hash_of_arrays, hash_of_config, hash_of_task_config


@dataclass(frozen=True, slots=True)
class Plan:
    """A task as the inner strategy would send it.

    Attributes
    ----------
    server_round : int
        Flower's round that trains it.
    arrays, run_config : bytes, length 32
        Hashes of the public part and of the run config.
    asked : bytes, length 32
        Hash of the train configuration that Flower passed in, before the inner strategy added to it.
    content, evaluate_content : RecordDict or None
        What goes to a node for training and for evaluation; None if nobody is asked.
    config, evaluate_config : ConfigRecord
        The run's configurations as the inner strategy left them.
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
        """Hash of the train configuration as it will be sent, 32 bytes."""
        return hash_of_task_config(self.content)

    def evaluate_hash(self) -> bytes:
        """Hash of the evaluate configuration as it will be sent, 32 bytes."""
        return hash_of_task_config(self.evaluate_content)

    def parts(self) -> TaskParts:
        """What is anchored."""
        return TaskParts(self.arrays, self.train_hash(), self.evaluate_hash(), self.run_config)


class Planner:
    """Asks the inner strategy early and remembers the answer."""

    def __init__(self, inner: InnerStrategy, run_config: Mapping[str, ConfigScalar] | None = None) -> None:
        self._run_config = config_hash(run_config or {})
        self._inner = inner
        self._train_config = ConfigRecord()
        self._evaluate_config = ConfigRecord()
        self._ahead: Plan | None = None
        self._failure: tuple[int, Exception] | None = None

    def restore(
        self, train_config: ConfigRecord, evaluate_config: ConfigRecord, asked_train: ConfigRecord, asked_evaluate: ConfigRecord
    ) -> None:
        """Take up the run's configurations as the inner strategy last left them, also in what Flower will pass in (`asked_`).

        Flower passes the evaluate configuration only after the first settlement.
        """
        self._train_config = _overwrite(asked_train, _copy(train_config))
        self._evaluate_config = _overwrite(asked_evaluate, _copy(evaluate_config))

    def configs(self) -> tuple[ConfigRecord, ConfigRecord]:
        """Copies of the train and evaluate configuration as the inner strategy left them."""
        return _copy(self._train_config), _copy(self._evaluate_config)

    def train_plan(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Plan:
        """The task that Flower asks to train now: the one found early if it is the same.

        `config` is left as the inner strategy leaves it, which may lower a learning rate in it from round to round.
        """
        self._train_config = _copy(config)
        asked = (server_round, hash_of_arrays(arrays), hash_of_config(config))
        plan = self._ahead
        if plan is None or (plan.server_round, plan.arrays, plan.asked) != asked:
            plan = self._plan(server_round, arrays, grid)
        self._train_config = _overwrite(config, plan.config)
        return plan

    def look_ahead(self, server_round: int, arrays: ArrayRecord, grid: Grid) -> Plan:
        """The task after `server_round`, with its evaluation in that round.

        What the inner strategy raises is raised, and again where Flower asks for that evaluation.
        """
        self._ahead, self._failure = None, None
        try:
            self._ahead = self._look_ahead(server_round, arrays, grid)
        except Exception as error:
            self._failure = (server_round, error)
            raise
        return self._ahead

    def _look_ahead(self, server_round: int, arrays: ArrayRecord, grid: Grid) -> Plan:
        plan = self._plan(server_round + 1, arrays, grid)
        config = _copy(self._evaluate_config)
        content, nodes = self._inner.evaluate_content(server_round, arrays, config, grid)
        return replace(plan, evaluate_content=content, evaluate_nodes=nodes, evaluate_config=_copy(config))

    def evaluate_plan(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord) -> Plan | None:
        """The plan whose evaluation Flower asks for now, None if it was not found early; `config` as in `train_plan`."""
        if self._failure is not None and self._failure[0] == server_round and not isinstance(self._failure[1], NodesAreGone):
            raise self._failure[1]
        ahead = self._ahead
        if ahead is None or (ahead.server_round, ahead.arrays) != (server_round + 1, hash_of_arrays(arrays)):
            return None
        self._evaluate_config = _overwrite(config, ahead.evaluate_config)
        return ahead

    def _plan(self, server_round: int, arrays: ArrayRecord, grid: Grid) -> Plan:
        config = _copy(self._train_config)
        asked = hash_of_config(config)
        content = self._inner.train_content(server_round, arrays, config, grid)
        return Plan(server_round, hash_of_arrays(arrays), asked, self._run_config, content, _copy(config))


def _overwrite(config: ConfigRecord, after: ConfigRecord) -> ConfigRecord:
    """Make `config` what `after` is; a copy of it."""
    config.clear()
    config.update(after.items())
    return _copy(after)


def _copy(config: ConfigRecord | None) -> ConfigRecord:
    return ConfigRecord() if config is None else ConfigRecord(dict(config.items()))
