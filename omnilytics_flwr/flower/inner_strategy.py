"""The strategy that `Omnilytics` wraps: what it asks for, what it makes of the mean, and the state that it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from logging import INFO, WARNING
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict

from ..errors import CannotCompose
from .compat import Grid, Strategy, log, unsaid
from .compose import check_composes
from .metrics import agreeing, plain_metrics, reported, weighted
from .state_codec import Arrays, Node, copy_value, decode_value, encode_value, has_code, same_arrays
from .wire import hash_of_arrays, hash_of_task_config


class InnerStrategy:
    """A strategy that learns from nothing but the mean of the updates; `CannotCompose` for any other.

    `metrics` are the names of those that may leave a data owner. Its state is every attribute that is no longer what it was when the run began: FedAdam's moments, say, and not its learning rate.
    """

    def __init__(self, strategy: Strategy, metrics: Sequence[str] = ()) -> None:
        check_composes(strategy)
        self._metrics = tuple(metrics)
        self._told = set[tuple[str, frozenset[frozenset[str]]]]()
        self._strategy: Any = strategy
        self._first = self.attributes()

    @property
    def name(self) -> str:
        """Name of its class."""
        return type(self._strategy).__name__

    @property
    def weight_key(self) -> str:
        """Metric by which it weighs replies."""
        return str(getattr(self._strategy, "weighted_by_key", "num-examples"))

    def summary(self) -> None:
        """Log its settings."""
        self._strategy.summary()

    def train_content(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> RecordDict | None:
        """What it sends to every node for training, None if it trains nobody; it may change `config`.

        Raises
        ------
        CannotCompose
            Nodes would get different tasks, or something besides arrays and one configuration.
        """
        with unsaid("configure_train: Sampled"):  # whoever it samples, everybody trains
            return _common_content(self._strategy.configure_train(server_round, arrays, config, grid), arrays)[0]

    def evaluate_content(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> tuple[RecordDict | None, tuple[int, ...]]:
        """What it sends for evaluation, and the nodes that it samples; as `train_content`."""
        return _common_content(self._strategy.configure_evaluate(server_round, arrays, config, grid), arrays)

    def aggregate_train(
        self, server_round: int, mean: ArrayRecord, metrics: Sequence[RecordDict]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Its next model given the public part moved by the mean update, and its summary of those data owners' metrics that agree."""
        self._tell("training", metrics)
        inner, weight = self._strategy, self.weight_key
        contents = [weighted(content, weight) for content in metrics]
        alike = [content for content, good in zip(contents, agreeing(contents, weight), strict=True) if good]
        content = RecordDict({str(getattr(inner, "arrayrecord_key", "arrays")): mean, "metrics": MetricRecord({weight: 1.0})})
        reply = Message(content, reply_to=Message(RecordDict(), 0, MessageType.TRAIN))
        # The strategy aggregates the metrics of the very replies that it averages. It gets one reply, the mean, so its metric function
        # would see one made-up record: for this call, the function gets the data owners' own instead.
        aggregate = inner.train_metrics_aggr_fn
        inner.train_metrics_aggr_fn = lambda _, weight_key: self._survived("train_metrics_aggr_fn", lambda: aggregate(alike, weight_key))
        try:
            with unsaid("aggregate_train: Received"):
                learnt: tuple[ArrayRecord | None, MetricRecord | None] = inner.aggregate_train(server_round, [reply])
            return learnt
        finally:
            inner.train_metrics_aggr_fn = aggregate

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Its summary of the evaluations that agree; where the terms keep the weights back, all weigh the same."""
        replies = list(replies)
        answers = [reply for reply in replies if not reply.has_error()]
        self._tell("evaluation", [reply.content for reply in answers])
        for reply in answers:
            reply.content = weighted(reply.content, self.weight_key)
        alike = agreeing([reply.content for reply in answers], self.weight_key)
        kept = [reply for reply, good in zip(answers, alike, strict=True) if good]
        heard = [*kept, *(reply for reply in replies if reply.has_error())]
        return self._survived("aggregate_evaluate", lambda: self._strategy.aggregate_evaluate(server_round, heard))

    def attributes(self) -> dict[str, Any]:
        """A copy of all attributes, for `put_back`."""
        return {name: copy_value(value) for name, value in vars(self._strategy).items()}

    def put_back(self, attributes: Mapping[str, Any]) -> None:
        """Give every attribute the value that it had."""
        held = vars(self._strategy)
        held.clear()
        held.update({name: copy_value(value) for name, value in attributes.items()})

    def check_state(self) -> None:
        """Raise `CannotCompose` if an attribute cannot be saved."""
        for name, value in vars(self._strategy).items():
            self._encoded(name, value, {})

    def encode_state(self, arrays: Arrays) -> dict[str, Node]:
        """State as JSON; its arrays are added to `arrays`."""
        state = {name: encode_value(value, arrays) for name, value in vars(self._strategy).items() if self._has_changed(name, value)}
        for name, node in state.items():
            if has_code(node):
                raise CannotCompose(
                    f"{self.name}.{name} has changed, and holds a function or class, which cannot be saved; expected numbers, text, arrays, "
                    "or lists and dictionaries of these; keep it in such, or run without a run directory"
                )
        return state

    def decode_state(self, saved: Mapping[str, Node], arrays: Arrays) -> None:
        """Take up a state that was saved; raises `Malformed`."""
        vars(self._strategy).update({name: decode_value(node, arrays) for name, node in saved.items()})

    def _tell(self, kind: str, contents: Sequence[RecordDict]) -> None:
        """Say which metrics came, once for each kind and each mixture of names; a warning if there is anything to ask oneself."""
        names = frozenset(frozenset(name for record in one.metric_records.values() for name in record) for one in contents)
        if not contents or (kind, names) in self._told:
            return
        self._told.add((kind, names))
        is_strange = len(names) > 1 or {*self._metrics} <= {self.weight_key}
        log(WARNING if is_strange else INFO, "\t├──> %s", reported(kind, contents, self._metrics, advised=is_strange))

    def _survived(self, name: str, aggregate: Callable[[], MetricRecord | None]) -> MetricRecord | None:
        """What an aggregation of metrics gives, None if it fails: the model and everybody's pay do not hang on it."""
        try:
            return plain_metrics(aggregate())
        except Exception as error:
            log(
                WARNING,
                "%s of %s failed (%r), so this round has no such metrics; the model is kept. Metrics that the terms let leave a data owner: %s",
                name,
                self.name,
                error,
                ", ".join(self._metrics) or "none",
            )
            return None

    def _has_changed(self, name: str, value: object) -> bool:
        before: Arrays = {}
        after: Arrays = {}
        node = self._encoded(name, value, after)
        return name not in self._first or node != self._encoded(name, self._first[name], before) or not same_arrays(before, after)

    def _encoded(self, name: str, value: object, arrays: Arrays) -> Node:
        try:
            return encode_value(value, arrays)
        except TypeError as error:
            raise CannotCompose(
                f"{self.name}.{name} cannot be saved: {error}; expected numbers, text, arrays, or lists and dictionaries of "
                "these; keep it in such, or run without a run directory"
            ) from error


def _common_content(messages: Iterable[Message], arrays: ArrayRecord) -> tuple[RecordDict | None, tuple[int, ...]]:
    """The one content of all messages and the nodes that they go to; raises `CannotCompose` unless everybody gets the same."""
    messages = list(messages)
    contents = list({id(message.content): message.content for message in messages}.values())
    for content in contents:
        _check_content(content, arrays)
    if len({hash_of_task_config(content) for content in contents}) > 1:
        raise CannotCompose(
            "the strategy sends different configurations to different nodes; in a market everybody trains the one task that is anchored"
        )
    return contents[0] if contents else None, tuple(message.metadata.dst_node_id for message in messages)


def _check_content(content: RecordDict, arrays: ArrayRecord) -> None:
    """Refuse what the mod would refuse."""
    sent = list(content.array_records.values())
    if len(sent) != 1 or (sent[0] is not arrays and hash_of_arrays(sent[0]) != hash_of_arrays(arrays)):
        raise CannotCompose("the strategy sends other arrays than it was given; in a market everybody gets the one model that is anchored")
    if len(content.config_records) > 1 or content.metric_records:
        raise CannotCompose("the strategy sends more than arrays and one configuration; put all settings into that one")
