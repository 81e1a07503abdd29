"""The model owner's side: a Strategy that has a Strategy and anchors every round in a market."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from logging import INFO, WARNING
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict

from ..clock import Clock
from ..errors import TooFewGroups
from ..market.ledger import ModelOwnerLedger
from ..market.refusals import TooLate
from ..market.task import ConfigScalar
from ..model_owner.round_keeper import OPEN_MARGIN_SECONDS, Missing, RoundKeeper
from ..model_owner.round_report import RoundReport
from .compat import Grid, Result, Strategy, log
from .compose import check_composes
from .exchanges import Exchanges
from .learner import Learner
from .metrics import agreeing, weighted
from .planner import Planner
from .run_memory import EVALUATE, SERVER, Progress, RunMemory
from .steady_grid import SteadyGrid
from .weights import Parts, check_weights
from .wire import RECORD, Exchange, TaskHeader

Refit = Callable[[int, ArrayRecord], ArrayRecord]
EvaluateFunction = Callable[[int, ArrayRecord], MetricRecord | None]


class Omnilytics(Strategy):
    """Run `inner` in a market.

    Parameters
    ----------
    inner : Strategy
        FedAvg, FedAvgM, FedAdam, FedYogi, FedAdagrad, FedProx, or a subclass that keeps its `aggregate_train`. It gets the mean
        of the accepted updates as one reply. Which data owners take part is the market's business, not its sampling's.
    ledger : ModelOwnerLedger
        The market as the model owner sees it.
    private : sequence of str (default: none)
        Name patterns of the private part, e.g. ``("conv1.*",)``; it never leaves this process, but for the run directory.
    run_config : mapping of str to scalar, optional
        ``context.run_config`` of the server app, if the client app reads settings from there: it is part of what is anchored, so
        that nobody can be given settings of its own.
    refit : callable, optional
        ``(round, whole model) -> whole model``, called after each round so that the private part can be fitted again to
        the model owner's own data. Changes to the public part are ignored.
    missing : {"waive", "accuse"} (default: "waive")
        What to do about members of the roster that do not deliver: pay their groups and go on without them, at once; or accuse them,
        wait until they have answered on chain or their time is over, and go on with what they answered. The latter takes up to
        the terms' ``answer_seconds``, and ether for fees and deposits, which go to those who answer; who does not loses its stake, and
        fee and deposit come back. Either way their groups are left out of later rounds of the epoch, and so not paid, as long as enough
        others are left.
    run_dir : Path, optional
        Folder of this run, readable by its owner only. A process that is started again with the same one, the same market and the
        same arguments goes on where the last one ended, whenever that was: an open round is settled, a settled one is learnt from,
        and Flower's rounds are counted on, `num_rounds` being that of all together. It holds the whole model, the private part too.
        Give the ledger's connection ``outbox=run_dir / "outbox"``, so that transactions are not forgotten either.
    on_stage : callable, optional
        Called with round and name of each stage as it begins, for progress displays.
    on_round : callable, optional
        Called with the report of each round as it ends.
    wait : callable, optional
        Lets so many seconds pass, while nodes, chain or accused are waited for; by default sleeps.
    poll_seconds : float, > 0 (default: 3)
        Between two looks at the chain.

    Raises
    ------
    CannotCompose
        `inner` needs more than the mean.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        ledger: ModelOwnerLedger,
        private: Sequence[str] = (),
        run_config: Mapping[str, ConfigScalar] | None = None,
        refit: Refit | None = None,
        missing: Missing = "waive",
        run_dir: Path | None = None,
        on_stage: Callable[[int, str], None] | None = None,
        on_round: Callable[[RoundReport], None] | None = None,
        wait: Callable[[float], None] = time.sleep,
        poll_seconds: float = 3.0,
    ) -> None:
        check_composes(inner)
        self._inner = inner
        self._memory = RunMemory(run_dir, inner)
        self._clock = Clock(wait, poll_seconds)
        self._keeper = RoundKeeper(
            ledger,
            missing=missing,
            directory=self._memory.directory,
            on_stage=on_stage,
            on_round=on_round,
            on_trouble=lambda reason: log(WARNING, "%s", reason),
            clock=self._clock,
        )
        self._exchanges = Exchanges(self._keeper, self._clock.pause)
        self._planner = Planner(inner, run_config)
        self._learner = Learner(self._keeper, self._exchanges, self._planner, self._memory)
        self._patterns = tuple(private)
        self._refit = refit
        self._parts: Parts | None = None
        self._private = ArrayRecord()
        self._public = ArrayRecord()
        self._done = 0

    @property
    def reports(self) -> tuple[RoundReport, ...]:
        """What each round of this process came to, settled or not."""
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
        evaluate_fn: EvaluateFunction | None = None,
    ) -> Result:
        """Run the rounds; arguments and result are those of `Strategy.start`, with the *whole* model in and out.

        A run that goes on from a run directory takes the model from there, and gives the results of all its rounds. Rounds that its
        data owners were evaluating when the last process ended stay without their evaluation.

        Raises
        ------
        TermsError
            The public part is not what the terms say, a private pattern matches nothing or everything, or the run directory is of another
            market, model or strategy.
        UpdateError
            A parameter of the public part can be neither trained nor constant.
        CannotCompose
            The inner strategy sends different tasks to different nodes, or has state that a run directory cannot hold.
        Refused
            Another process runs from the run directory.
        Malformed
            A file of the run directory is damaged.
        ChainError
            The chain was not reached again in time, or the account lacks ether.
        LedgerError
            The market says no: no epoch is drawn, the escrow is too small, or it takes no settlement although everybody is waived.

        What the inner strategy raises is raised here too, once an open round has been settled.
        """
        train_config = ConfigRecord() if train_config is None else train_config
        evaluate_config = ConfigRecord() if evaluate_config is None else evaluate_config
        train_timeout = min(timeout, self._keeper.terms.commit_seconds - OPEN_MARGIN_SECONDS)
        self._exchanges.timeout, self._exchanges.train_timeout = timeout, train_timeout
        with self._memory.held():
            steady = SteadyGrid(grid, self._clock.wait)
            public = self._begin(steady, initial_arrays, train_config, evaluate_config)
            left = max(num_rounds - self._done, int(self._keeper.is_open))
            evaluate = None if evaluate_fn is None else self._counted_on(evaluate_fn)
            result = super().start(steady, public, left, train_timeout, train_config, evaluate_config, evaluate)
        self._memory.complete(result)
        if len(result.arrays) or self._done:
            result.arrays = self._whole(result.arrays if len(result.arrays) else public)
        return result

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        """Anchor the task unless the last settlement did, and send it to every node."""
        steady = grid if isinstance(grid, SteadyGrid) else SteadyGrid(grid, self._clock.wait)
        self._exchanges.grid = steady
        self._public = arrays
        plan = self._planner.train_plan(self._done + server_round, arrays, config, grid)
        if self._keeper.is_open or plan.content is None:  # a round that was open when this process began has its commitments
            return []
        state, most = self._exchanges.certainly(self._keeper.state), self._keeper.terms.rounds_per_epoch
        if state.opened_in_epoch >= most:
            log(WARNING, "epoch %s has had its %s rounds; nobody trains until the next one is frozen and drawn", state.epoch, most)
            return []
        task = self._exchanges.certainly(lambda: self._keeper.anchor(plan.parts()))
        steady.limit(self._keeper.commit_seconds())  # one that outlasts the commit window would be for nothing
        header = self._header(Exchange.TRAIN, task.epoch, task.round, plan.evaluate_hash())
        return self._exchanges.train_messages(task, plan.content, header.to_record())

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Open, deliver, prove, hand the mean to the inner strategy, settle."""
        if self._exchanges.grid is not None:
            self._exchanges.grid.limit(None)
        if not self._keeper.is_live:  # the inner strategy trains nobody in this round
            return None, None
        number = self._done + server_round
        if not self._keeper.is_open:
            self._exchanges.commit(replies)
            try:
                self._exchanges.certainly(self._keeper.open)
            except (TooFewGroups, TooLate) as error:
                log(WARNING, "round %s is not opened: %s", number, error)
                self._save(self._learner.unchanged(number, self._whole(self._public)))
                return None, None
        self._exchanges.deliver()
        progress, arrays = self._learner.learn_and_settle(number, self._public, self._whole)
        if arrays is not None:
            self._fit_private(number, arrays)
            progress = replace(progress, arrays=self._whole(arrays))
        self._save(progress)
        return arrays, progress.metrics

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        """Send the anchored task for evaluation, to the nodes that the inner strategy samples."""
        number = self._done + server_round
        plan = self._planner.evaluate_plan(number, arrays, config)
        if plan is not None and plan.evaluate_content is None:  # the inner strategy evaluates with nobody
            return []
        task = None if plan is None else self._keeper.anchored(plan.parts())
        if plan is None or plan.evaluate_content is None or task is None:
            log(INFO, "configure_evaluate: round %s was not settled; data owners evaluate only what is anchored", number)
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
        number = self._done + server_round
        metrics = self._inner.aggregate_evaluate(number, [*kept, *(reply for reply in replies if reply.has_error())])
        self._memory.note(EVALUATE, number, metrics)
        return metrics

    def _begin(self, grid: SteadyGrid, initial: ArrayRecord, train_config: ConfigRecord, evaluate_config: ConfigRecord) -> ArrayRecord:
        """Go on from the run directory, if there is anything in it; the public part to begin with."""
        self._exchanges.grid = grid
        self._parts = Parts.of(initial, self._patterns)
        public, self._private = self._parts.split(initial)
        check_weights(public, self._keeper.terms.weights)
        outcome = None if self._memory.directory is None else self._exchanges.certainly(self._keeper.resume)
        before = self._memory.begin(initial, train_config, evaluate_config)
        progress = self._memory.adopt(outcome, before)
        public, self._private = self._parts.split(progress.arrays)
        self._done = progress.server_round
        if progress is not before:  # settled by a process that did not live to learn from it
            self._fit_private(self._done, public)
            progress = replace(progress, arrays=self._whole(public))
            self._save(progress)
        self._keeper.booked()
        self._planner.restore(progress.train_config, progress.evaluate_config, train_config, evaluate_config)
        if progress.ahead:
            self._planner.look_ahead(self._done, public, grid)
            self._planner.evaluate_plan(self._done, public, evaluate_config)
        return public

    def _save(self, progress: Progress) -> None:
        self._memory.save(progress)
        self._keeper.booked()

    def _counted_on(self, evaluate_fn: EvaluateFunction) -> EvaluateFunction:
        """`evaluate_fn` on the whole model, with rounds counted on; no round is evaluated twice."""

        def evaluate(server_round: int, public: ArrayRecord) -> MetricRecord | None:
            number = self._done + server_round
            metrics = self._memory.result(SERVER, number) or evaluate_fn(number, self._whole(public))
            self._memory.note(SERVER, number, metrics)
            return metrics

        return evaluate

    def _whole(self, public: ArrayRecord) -> ArrayRecord:
        return public if self._parts is None else self._parts.join(public, self._private)

    def _fit_private(self, server_round: int, public: ArrayRecord) -> None:
        if self._refit is not None and self._parts is not None:
            _, self._private = self._parts.split(self._refit(server_round, self._whole(public)))

    def _header(self, exchange: Exchange, epoch: int, round_number: int, other_hash: bytes) -> TaskHeader:
        ledger = self._keeper.ledger
        return TaskHeader(exchange, ledger.chain_id, ledger.address, epoch, round_number, other_hash)
