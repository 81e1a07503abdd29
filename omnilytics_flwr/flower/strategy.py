"""The model owner's side: a Strategy that has a Strategy and anchors every round in a market."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from logging import ERROR, INFO, WARNING

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict

from ..errors import OmnilyticsError, ProtocolError, TermsError, TooFewGroups
from ..market.ledger import Ledger
from ..market.refusals import TooLate
from ..market.task import ConfigScalar
from ..market.terms import Address
from ..model_owner.keeper import OPEN_MARGIN_SECONDS, RoundKeeper
from ..model_owner.report import RoundReport
from .compat import Grid, Result, Strategy, log
from .compose import check_composes
from .lookahead import Planner
from .metrics import agreeing, weighted
from .parts import Parts, add_flat, flatten
from .wire import RECORD, CommitReply, DeliverReply, DeliverRequest, Exchange, TaskHeader, our_record

Refit = Callable[[int, ArrayRecord], ArrayRecord]


class Omnilytics(Strategy):
    """Run `inner` in a market.

    Parameters
    ----------
    inner : Strategy
        FedAvg, FedAvgM, FedAdam, FedYogi, FedAdagrad, FedProx, or a subclass that keeps its `aggregate_train`. It gets the mean
        of the accepted updates as one reply. Which data owners take part is the market's business, not its sampling's.
    ledger : Ledger
        The market as the model owner sees it.
    private : sequence of str (default: none)
        Name patterns of the private part, e.g. ``("conv1.*",)``; it never leaves this process.
    run_config : mapping of str to scalar, optional
        ``context.run_config`` of the server app, if the client app reads settings from there: it is part of what is anchored, so
        that nobody can be given settings of its own.
    refit : callable, optional
        ``(round, whole model) -> whole model``, called after each round so that the private part can be fitted again to
        the model owner's own data. Changes to the public part are ignored.
    on_stage : callable, optional
        Called with round and name of each stage as it begins, for progress displays.
    on_round : callable, optional
        Called with the report of each round as it ends.

    Raises
    ------
    CannotCompose
        `inner` needs more than the mean.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        ledger: Ledger,
        private: Sequence[str] = (),
        run_config: Mapping[str, ConfigScalar] | None = None,
        refit: Refit | None = None,
        on_stage: Callable[[int, str], None] | None = None,
        on_round: Callable[[RoundReport], None] | None = None,
    ) -> None:
        check_composes(inner)
        self._inner = inner
        self._keeper = RoundKeeper(ledger, on_stage=on_stage, on_round=on_round)
        self._planner = Planner(inner, run_config)
        self._patterns = tuple(private)
        self._refit = refit
        self._parts: Parts | None = None
        self._private = ArrayRecord()
        self._public = ArrayRecord()
        self._grid: Grid | None = None
        self._timeout = 3600.0

    @property
    def reports(self) -> tuple[RoundReport, ...]:
        """What each round came to, settled or not."""
        return self._keeper.reports

    def summary(self) -> None:
        """Log market and inner strategy."""
        log(INFO, "\t├──> Market %s on chain %s", self._keeper.ledger.address, self._keeper.ledger.chain_id)
        log(INFO, "\t└──> Inner strategy: %s", type(self._inner).__name__)
        self._inner.summary()

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the rounds; arguments and result are those of `Strategy.start`, with the *whole* model in and out."""
        self._parts = Parts.of(initial_arrays, self._patterns)
        public, self._private = self._parts.split(initial_arrays)
        self._check_weights(public)
        self._timeout = timeout
        self._planner.remember_evaluate_config(evaluate_config)
        joined = None if evaluate_fn is None else lambda number, arrays: evaluate_fn(number, self._whole(arrays))
        # An exchange that outlasts the commit window would be for nothing: the round could not open any more.
        timeout = min(timeout, self._keeper.terms.commit_seconds - OPEN_MARGIN_SECONDS)
        result = super().start(grid, public, num_rounds, timeout, train_config, evaluate_config, joined)
        if len(result.arrays):
            result.arrays = self._whole(result.arrays)
        return result

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        """Anchor the task unless the last settlement did, and send it to every node."""
        self._grid = grid
        self._public = arrays
        plan = self._planner.train_plan(server_round, arrays, config, grid)
        if plan.content is None:
            return []
        task = self._keeper.anchor(plan.parts())
        header = self._header(Exchange.TRAIN, task.epoch, task.round, plan.evaluate_hash())
        content = RecordDict({**dict(plan.content.items()), RECORD: header.to_record()})
        return [Message(content, node, MessageType.TRAIN) for node in grid.get_node_ids()]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Open, deliver, prove, hand the mean to the inner strategy, settle."""
        if not self._keeper.is_live:  # the inner strategy trains nobody in this round
            return None, None
        metrics, nodes = self._collect(replies)
        try:
            digests = self._keeper.open()
        except (TooFewGroups, TooLate) as error:
            log(WARNING, "round %s is not opened: %s", server_round, error)
            return None, None
        self._deliver(digests, nodes)
        proven = self._keeper.prove()
        if proven.mean is None:
            log(WARNING, "round %s: no group is left to learn from; its members are paid all the same", server_round)
            self._keeper.settle(proven, None)
            return None, None
        try:
            mean = self._synthetic(add_flat(self._public, proven.mean))
            arrays, aggregated = self._planner.keys.aggregate_train(server_round, mean, metrics)
            following = None if arrays is None else self._planner.look_ahead(server_round, arrays, self._live_grid())
        except Exception:
            self._keeper.settle(proven, None)  # whatever the inner strategy does, what was opened is paid
            raise
        self._keeper.settle(proven, following.parts() if following else None)
        if arrays is not None:
            self._fit_private(server_round, arrays)
        return arrays, aggregated

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        """Send the anchored task for evaluation, to the nodes that the inner strategy samples."""
        plan = self._planner.evaluate_plan(server_round, arrays, config)
        if plan is not None and plan.evaluate_content is None:  # the inner strategy evaluates with nobody
            return []
        task = None if plan is None else self._keeper.anchored(plan.parts())
        if plan is None or plan.evaluate_content is None or task is None:
            log(INFO, "configure_evaluate: round %s was not settled; data owners evaluate only what is anchored", server_round)
            return []
        header = self._header(Exchange.EVALUATE, task.epoch, task.round, plan.train_hash())
        content = RecordDict({**dict(plan.evaluate_content.items()), RECORD: header.to_record()})
        return [Message(content, node, MessageType.EVALUATE) for node in plan.evaluate_nodes]

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Hand the replies to the inner strategy; where the terms keep the weights back, all weigh the same."""
        replies, weight = list(replies), self._planner.keys.weight
        answers = [reply for reply in replies if not reply.has_error()]
        for reply in answers:
            reply.content = weighted(reply.content, weight)
        alike = agreeing([reply.content for reply in answers], weight)
        kept = [reply for reply, good in zip(answers, alike, strict=True) if good]
        return self._inner.aggregate_evaluate(server_round, [*kept, *(reply for reply in replies if reply.has_error())])

    def _check_weights(self, public: ArrayRecord) -> None:
        actual, agreed = flatten(public).size, self._keeper.terms.weights
        if actual != agreed:
            raise TermsError(f"the public part has {actual} weights, the market's terms say {agreed}; create a market for this model")

    def _whole(self, public: ArrayRecord) -> ArrayRecord:
        return public if self._parts is None else self._parts.join(public, self._private)

    def _fit_private(self, server_round: int, public: ArrayRecord) -> None:
        if self._refit is not None and self._parts is not None:
            _, self._private = self._parts.split(self._refit(server_round, self._whole(public)))

    def _live_grid(self) -> Grid:
        if self._grid is None:
            raise TermsError("aggregate_train came before configure_train; run the strategy through start()")
        return self._grid

    def _header(self, exchange: Exchange, epoch: int, round_number: int, other_hash: bytes) -> TaskHeader:
        ledger = self._keeper.ledger
        return TaskHeader(exchange, ledger.chain_id, ledger.address, epoch, round_number, other_hash)

    def _collect(self, replies: Iterable[Message]) -> tuple[list[RecordDict], dict[Address, int]]:
        """Give every valid commitment to the keeper; metrics of the replies, and the node behind each owner."""
        metrics: list[RecordDict] = []
        nodes: dict[Address, int] = {}
        for reply in replies:
            node = reply.metadata.src_node_id
            if reply.has_error():
                log(WARNING, "\t> node %s does not take part: %s", node, reply.error.reason)
                continue
            try:
                commit = CommitReply.from_record(our_record(reply.content))
                if commit.owner in nodes:
                    raise ProtocolError(f"{commit.owner} has answered already; one reply a data owner")
                self._keeper.add_commitment(commit.owner, commit.digest, commit.signature)
            except OmnilyticsError as error:
                log(WARNING, "\t> node %s sent no valid commitment: %s", node, error)
                continue
            nodes[commit.owner] = node
            metrics.append(reply.content)
        log(INFO, "aggregate_train: %s data owners committed", len(nodes))
        return metrics, nodes

    def _deliver(self, digests: tuple[bytes, ...], nodes: dict[Address, int]) -> None:
        """The second exchange: ask everybody on the roster for its vector."""
        task = self._keeper.task
        ledger = self._keeper.ledger
        request = DeliverRequest(ledger.chain_id, ledger.address, task.epoch, task.round, digests)
        content = RecordDict({RECORD: request.to_record()})
        messages = [Message(content, nodes[owner], MessageType.TRAIN) for owner in self._keeper.roster_owners()]
        for reply in self._exchange(messages):
            node = reply.metadata.src_node_id
            if reply.has_error():
                log(WARNING, "\t> node %s did not deliver: %s", node, reply.error.reason)
                continue
            try:
                answer = DeliverReply.from_record(our_record(reply.content))
                if nodes.get(answer.owner) != node:
                    raise ProtocolError(f"this is not the node that committed for {answer.owner}")
                self._keeper.add_delivery(answer.owner, answer.vector, answer.points)
            except OmnilyticsError as error:
                log(WARNING, "\t> node %s delivered nothing valid: %s", node, error)

    def _exchange(self, messages: list[Message]) -> Iterable[Message]:
        """Send and receive, no longer than leaves time to settle; from here on the bond is at stake, so nothing may escape."""
        seconds = min(self._timeout, self._keeper.deliver_seconds())
        try:
            return list(self._live_grid().send_and_receive(messages, timeout=seconds))
        except Exception as error:
            log(ERROR, "the deliver exchange broke off (%r); who has not delivered is waived", error)
            return []

    def _synthetic(self, arrays: ArrayRecord) -> Message:
        """One reply that holds the mean, as the inner strategy expects replies."""
        keys = self._planner.keys
        content = RecordDict({keys.arrays: arrays, "metrics": MetricRecord({keys.weight: 1.0})})
        return Message(content, reply_to=Message(RecordDict(), 0, MessageType.TRAIN))
