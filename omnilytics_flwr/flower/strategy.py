"""The model owner's side: a Strategy that wraps a Strategy and runs every round in a market."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from logging import INFO, WARNING
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from ..clock import Clock
from ..data_owner.round_needs import MOST_MESSAGE_BYTES, message_bytes
from ..errors import NothingLearnt, TermsError, TooFewGroups
from ..market.ledger import ModelOwnerLedger
from ..market.refusals import TooLate, WrongRound, WrongStage
from ..market.task import ConfigScalar, TaskId
from ..model_owner.epoch_keeper import EpochKeeper
from ..model_owner.opening import check_not_open
from ..model_owner.round_keeper import Missing, RoundKeeper, open_margin_seconds
from ..model_owner.round_report import RoundReport
from ..model_owner.server_needs import ServerNeeds
from ..telemetry import health_port, told_on
from .compat import Grid, Result, Strategy, log
from .evaluations import Evaluations
from .exchanges import Exchanges
from .inner_strategy import InnerStrategy
from .learner import Learner
from .metrics import permitted, plain_metrics
from .planner import Planner
from .round_counts import RoundCounts
from .round_log import hardly_learnt, not_opened, nothing_learnt, report_lines
from .run_memory import EVALUATE, SERVER, Progress, RunMemory
from .split_model import Refit, SplitModel
from .steady_grid import NodesAreGone, SteadyGrid
from .weights import check_weights
from .wire import RECORD, Exchange, TaskHeader, hash_of_arrays

EvaluateFunction = Callable[[int, ArrayRecord], MetricRecord | None]
Observer = Callable[[int, ArrayRecord, MetricRecord | None], object]


class Omnilytics(Strategy):
    """Run a strategy in a market.

    Parameters
    ----------
    inner : Strategy
        FedAvg, FedAvgM, FedAdam, FedYogi, FedAdagrad, FedProx, or a subclass that keeps its `aggregate_train` and `start`. It gets the
        mean of the accepted updates as one reply. The market decides which data owners take part; the strategy's sampling does not.
        Whatever it does between an opened round and its settlement, the round is settled.
    private : sequence of str (default: none)
        Name patterns of the private part, e.g. ``("conv1.*",)``. It never leaves this process, except for the run directory.
    run_config : mapping of str to scalar, optional
        ``context.run_config`` of the server app, if the client app reads settings from it: its hash is anchored with the task, so that
        all clients must have the same.
    refit : callable, optional
        ``(round, whole model) -> whole model``, called after each round so that the private part can be fitted again to
        the model owner's own data. Changes to the public part are ignored.
    missing : {"waive", "accuse"} (default: "waive")
        What to do if members of the roster do not deliver. ``"waive"``: pay their groups and go on without them, at once. ``"accuse"``:
        accuse them, wait until they answer on chain or run out of time (up to the terms' ``answer_seconds``), and go on with the answers;
        this locks ether for fees and deposits, which go to those who answer, and come back with a stake from those who do not.
        Either way their groups are left out of later rounds of the epoch, and so not paid, while there are others. So waiving costs a
        group's rewards once for each epoch and group; accusing takes the stake of who is silent, and holds everybody up.
    run_dir : Path, optional
        Folder of this run, readable by its owner only. A process started again with the same folder, market and arguments resumes the
        run, whenever the last one ended: it settles an open round, learns from a settled one, and counts Flower's rounds on, with
        `num_rounds` as the total. The folder holds the whole model, the private part included. Give the ledger's connection
        ``outbox=run_dir / "outbox"``, so that transactions are kept too. Without a run directory the masked
        vectors of a round wait in the system's temporary folder (``TMPDIR``), where nobody else can open them.
    on_stage : callable, optional
        Called with the round's number and the name of each stage as it begins, for progress displays; in a thread of its own, for which
        a round waits 15 s at most.
    on_round : callable, optional
        Called with the report of each round as it ends.
    on_model : callable, optional
        ``(round, whole model, metrics)``, called after each round that taught something, once it is settled and saved: for checkpoints
        and trackers. A failure of any of these three is logged, and ends nothing.
    most_cut : float, 0 .. 1 (default: 0.5)
        Share of the weights at which the clip may cut the change of every data owner before the run ends, after a round, with
        `NothingLearnt`; 1 never ends it.
    node_seconds : float (default: 600)
        How long to wait, before a round, until as many nodes are there as data owners are expected.
    enrol_seconds : float (default: 0)
        How long to wait, once an epoch has had its rounds, for its data owners to enrol for the next, which is then frozen and drawn, so
        that the run goes on. With 0 nobody trains any more, and the epoch is for you to freeze and draw.
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
        on_model: Observer | None = None,
        most_cut: float = 0.5,
        node_seconds: float = 600.0,
        enrol_seconds: float = 0.0,
        wait: Callable[[float], None] = time.sleep,
        poll_seconds: float = 3.0,
    ) -> None:
        self._clock = Clock(wait, poll_seconds)
        self._inner = InnerStrategy(inner, ledger.terms().metrics)
        self._memory = RunMemory(run_dir, self._inner)
        self._keeper = RoundKeeper(
            ledger,
            missing=missing,
            directory=self._memory.directory,
            on_stage=on_stage,
            on_round=self._told,
            on_trouble=lambda reason: log(WARNING, "%s", reason),
            clock=self._clock,
        )
        self._epochs = EpochKeeper(ledger, self._clock, enrol_seconds=enrol_seconds, on_step=lambda sentence: log(INFO, "%s", sentence))
        self._exchanges = Exchanges(self._keeper, self._clock)
        self._evaluations = Evaluations(self._clock)
        self._planner = Planner(self._inner, run_config)
        self._learner = Learner(self._keeper, self._exchanges, self._inner, self._planner, self._memory)
        self._patterns = tuple(private)
        self._refit = refit
        self._on_round = on_round or (lambda report: None)
        self._on_model = on_model or (lambda number, model, metrics: None)
        self._most_cut = most_cut
        self._counts = RoundCounts()
        self._node_seconds = node_seconds
        self._reason = ""
        self._model = SplitModel()
        self._done = 0
        self._last = 0
        self._take_up: Callable[[], None] = _nothing

    @property
    def reports(self) -> tuple[RoundReport, ...]:
        """Reports of this process's rounds, settled or not."""
        return self._keeper.reports

    def summary(self) -> None:
        """Log market and inner strategy."""
        log(INFO, "\t├──> Market %s on chain %s", self._keeper.ledger.address, self._keeper.ledger.chain_id)
        names = ", ".join(self._keeper.terms.metrics) or "none"
        log(INFO, "\t├──> Metrics that the terms let leave a data owner: %s; others that the app reports stay there", names)
        log(INFO, "\t└──> Inner strategy: %s", self._inner.name)
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

        A run that resumes from a run directory takes the model from there, and gives the results of all its rounds. A round that data
        owners were evaluating when the last process ended stays without its evaluation.

        Raises
        ------
        TermsError
            The public part is not what the terms say, a private pattern matches nothing or everything, the run directory is of another
            market, model or strategy, a message would be longer than Flower's, or the disk has no room for a round's deliveries.
        UpdateError
            A parameter of the public part can be neither trained nor constant.
        CannotCompose
            The inner strategy sends different tasks to different nodes, or has state that a run directory cannot hold.
        Refused
            Another process runs from the run directory, or has opened a round that is not over; or ``OMNILYTICS_HEALTH_PORT`` is no port.
        NothingLearnt
            A settled round taught nothing, or hardly anything (`most_cut`), so that further ones would be paid for nothing; or no round
            could be opened.
        Malformed
            A file of the run directory is damaged.
        ChainError
            The chain could not be reached for too long, or the account lacks ether.
        LedgerError
            The market refuses: no epoch is drawn, the escrow is too small, or it takes no settlement although everybody is waived.

        What the inner strategy raises is raised here too, once an open round is settled.
        """
        train_config = ConfigRecord() if train_config is None else train_config
        evaluate_config = ConfigRecord() if evaluate_config is None else evaluate_config
        train_timeout = min(timeout, self._keeper.terms.commit_seconds - open_margin_seconds(self._keeper.terms))
        self._exchanges.timeout, self._exchanges.train_timeout = timeout, train_timeout
        first = hash_of_arrays(SplitModel.of(initial_arrays, self._patterns).public)
        with self._memory.held(), told_on(health_port(), "omnilytics_run", self._counts.report):
            steady = SteadyGrid(grid, self._clock)
            self._begin(steady, initial_arrays, train_config, evaluate_config)
            self._tell_needs(initial_arrays)
            left = max(num_rounds - self._done, int(self._keeper.is_open))
            self._last = self._done + left
            evaluate = None if evaluate_fn is None else self._counted_on(evaluate_fn)
            result = super().start(steady, self._model.public, left, train_timeout, train_config, evaluate_config, evaluate)
        self._memory.complete(result)
        if len(result.arrays):
            self._model = self._model.with_public(result.arrays)
        elif self._reason and hash_of_arrays(self._model.public) == first:
            raise NothingLearnt(f"no round of this run taught anything. The last: {self._reason}")
        result.arrays = self._model.whole()
        return result

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        """Anchor the task unless the last settlement did, and send it to every node."""
        steady = grid if isinstance(grid, SteadyGrid) else SteadyGrid(grid, self._clock)
        self._exchanges.grid = steady
        self._model = self._model.with_public(arrays)
        number = self._done + server_round
        if self._keeper.is_open:  # since before this process began, with its commitments; the inner strategy is asked under the watch
            return []
        plan = self._planner.train_plan(number, arrays, config, grid)
        if plan.content is None:
            return []
        state, most = self._exchanges.with_signatures(self._keeper.state), self._keeper.terms.rounds_per_epoch
        if not self._epochs.go_on(state) and state.opened_in_epoch >= most:
            self._reason = f"epoch {state.epoch} has had its {most} rounds; nobody trains until the next one is frozen and drawn"
            log(WARNING, "%s", self._reason)
            return []
        if self._memory.directory is not None:
            self._inner.check_state()  # before anything is anchored or paid: it could not be saved after the round either
        if (there := self._exchanges.await_nodes(self._node_seconds)) < (least := self._keeper.terms.group_size):
            self._reason = f"{there} nodes are there, and no group is smaller than {least}; nothing was anchored; start the others"
            log(WARNING, "%s", self._reason)
            return []
        task = self._exchanges.with_signatures(lambda: self._keeper.anchor(plan.parts()))
        header = self._header(Exchange.TRAIN, task, plan.evaluate_hash())
        return self._exchanges.train_messages(task, plan.content, header.to_record())

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Open the round, collect the vectors, prove, hand the mean to the inner strategy, settle."""
        if not self._keeper.is_live:  # the inner strategy trains nobody in this round
            return None, None
        number = self._done + server_round
        if not self._keeper.is_open:
            self._exchanges.commit(replies)
            try:
                self._exchanges.with_signatures(self._keeper.open)
            except (TooFewGroups, TooLate, WrongRound, WrongStage) as error:
                self._reason = self._not_opened(error)
                log(WARNING, "%s", self._reason)
                self._save(self._learner.unchanged(number, self._model))
                return None, None
        self._exchanges.deliver()
        take_up, self._take_up = self._take_up, _nothing  # once, even if it fails
        progress, learnt = self._learner.learn_and_settle(number, self._model, take_up)
        if learnt is not None:
            self._model = learnt.refitted(self._refit, number)
            progress = replace(progress, arrays=self._model.whole())
        self._save(progress)
        if learnt is None and self._keeper.reports[-1].settled and not self._keeper.reports[-1].learnt:
            raise NothingLearnt(nothing_learnt(self._keeper.reports[-1], self._keeper.terms))
        if learnt is not None:
            self._observe(number, progress.metrics)
            if self._learner.cut_for_all > self._most_cut and number < self._last:  # after the last, there is none to be paid for nothing
                raise NothingLearnt(hardly_learnt(self._keeper.reports[-1], self._keeper.terms, self._learner.cut_for_all))
        return None if learnt is None else learnt.public, progress.metrics

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        """Send the anchored task for evaluation to the nodes that the inner strategy samples."""
        plan = self._planner.evaluate_plan(self._done + server_round, arrays, config)
        if plan is not None and plan.evaluate_content is None:  # the inner strategy asks nobody to evaluate
            return []
        task = None if plan is None else self._keeper.anchored(plan.parts())
        if plan is None or plan.evaluate_content is None or task is None:
            log(INFO, "\t└──> Nobody evaluates: data owners evaluate only a model that a settlement has anchored")
            return []
        there = set(self._exchanges.nodes())
        header = self._header(Exchange.EVALUATE, task, plan.train_hash())
        content = RecordDict({**dict(plan.evaluate_content.items()), RECORD: header.to_record()})
        return self._evaluations.messages(content, [node for node in plan.evaluate_nodes if node in there])

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Hand the replies to the inner strategy."""
        heard = self._evaluations.replies(self._exchanges.grid, replies, self._exchanges.train_timeout)
        metrics = self._inner.aggregate_evaluate(self._done + server_round, map(self._permitted, heard))
        self._memory.note(EVALUATE, self._done + server_round, metrics)
        return metrics

    def _begin(self, grid: SteadyGrid, initial: ArrayRecord, train_config: ConfigRecord, evaluate_config: ConfigRecord) -> None:
        """Take up the model, from the run directory if a run began there, and settle what the last process left open."""
        self._exchanges.grid = grid
        self._model = SplitModel.of(initial, self._patterns)
        check_weights(self._model.public, self._keeper.terms.weights)
        outcome = None if self._memory.directory is None else self._exchanges.with_signatures(self._keeper.resume)
        if not self._keeper.is_open:
            check_not_open(self._exchanges.with_signatures(self._keeper.state), self._keeper.ledger.address)
        before = self._memory.begin(initial, train_config, evaluate_config)
        progress = self._memory.adopt(outcome, before)
        self._model = self._model.with_whole(progress.arrays)
        self._done = progress.server_round
        if progress is not before:  # settled by a process that did not live to learn from it
            self._model = self._model.refitted(self._refit, self._done)
            progress = replace(progress, arrays=self._model.whole())
            self._save(progress)
            self._observe(self._done, progress.metrics)
        self._keeper.booked()
        self._planner.restore(progress.train_config, progress.evaluate_config, train_config, evaluate_config)
        if self._keeper.is_open:
            self._take_up = partial(self._take_up_open, grid, progress, train_config, evaluate_config)
        elif progress.ahead:
            self._look_ahead(grid, evaluate_config)

    def _look_ahead(self, grid: Grid, evaluate_config: ConfigRecord) -> None:
        """Ask the inner strategy again what it was asked when the last round was settled."""
        with suppress(NodesAreGone):
            self._planner.look_ahead(self._done, self._model.public, grid)
        self._planner.evaluate_plan(self._done, self._model.public, evaluate_config)

    def _take_up_open(self, grid: SteadyGrid, progress: Progress, train_config: ConfigRecord, evaluate_config: ConfigRecord) -> None:
        """Bring the inner strategy from its saved state to where it was when the open round began, without waiting for nodes."""
        self._planner.restore(progress.train_config, progress.evaluate_config, train_config, evaluate_config)
        there = grid.as_of(self._exchanges.nodes())
        if progress.ahead:
            self._look_ahead(there, evaluate_config)
        with suppress(NodesAreGone):
            self._planner.train_plan(self._done + 1, self._model.public, train_config, there)

    def _tell_needs(self, initial: ArrayRecord) -> None:
        """Say what a round takes, and refuse what cannot be held, before anything is trained or paid for; not while a round is open."""
        if self._keeper.is_open:  # its deliveries fill the disk already, and it must be settled
            return
        folder, scheme = self._memory.directory, self._keeper.ledger.scheme()
        needs = ServerNeeds.of(scheme, owners=self._keeper.state().members.bit_count() or self._keeper.terms.most_owners)
        log(INFO, "\t├──> A delivery is a message of %.1f MB; %s", message_bytes(scheme) / 1e6, needs)
        needs.check_disk(None if folder is None else folder.path)
        model_bytes = sum(len(array.data) for array in initial.values())
        if max(model_bytes, message_bytes(scheme)) > MOST_MESSAGE_BYTES:
            raise TermsError(
                f"the model has {model_bytes / 1e9:.2f} GB and a delivery {message_bytes(scheme) / 1e9:.2f} GB, and a message of Flower's "
                f"has {MOST_MESSAGE_BYTES / 1e9:.2f} GB at most; train a part of the model, or one with fewer weights"
            )

    def _permitted(self, reply: Message) -> Message:
        """A data owner's evaluation without what the terms keep back."""
        if not reply.has_error():
            reply.content, dropped = permitted(reply.content, self._keeper.terms.metrics)
            if dropped:
                log(
                    WARNING,
                    "\t> node %s evaluates without omnilytics_mod: it sent %s, which the terms keep back and is dropped here; give the mod to "
                    "the whole app, ClientApp(mods=[omnilytics_mod])",
                    reply.metadata.src_node_id,
                    dropped,
                )
        return reply

    def _told(self, report: RoundReport) -> None:
        """Log a finished round, and pass it on."""
        for line in report_lines(report, self._keeper.terms):
            log(INFO, "%s", line)
        self._counts.note(report)
        self._on_round(report)

    def _not_opened(self, error: Exception) -> str:
        if not isinstance(error, TooFewGroups):
            return f"market round {self._keeper.reports[-1].round} is not opened: {error}"
        return not_opened(
            self._keeper.reports[-1],
            nodes=len(self._exchanges.nodes()),
            refusals=self._exchanges.refusals.reasons,
            waited=self._exchanges.waited,
        )

    def _observe(self, number: int, metrics: MetricRecord | None) -> None:
        try:
            self._on_model(number, self._model.whole(), metrics)
        except Exception as error:
            log(WARNING, "on_model failed, and the run goes on without it: %r", error)

    def _save(self, progress: Progress) -> None:
        self._memory.save(progress)
        self._keeper.booked()

    def _counted_on(self, evaluate_fn: EvaluateFunction) -> EvaluateFunction:
        """`evaluate_fn` on the whole model, with rounds counted on; no round is evaluated twice."""

        def evaluate(server_round: int, public: ArrayRecord) -> MetricRecord | None:
            number = self._done + server_round
            metrics = self._memory.result(SERVER, number) or plain_metrics(evaluate_fn(number, self._model.with_public(public).whole()))
            self._memory.note(SERVER, number, metrics)
            return metrics

        return evaluate

    def _header(self, exchange: Exchange, task: TaskId, other_config_hash: bytes) -> TaskHeader:
        ledger = self._keeper.ledger
        return TaskHeader(exchange, ledger.chain_id, ledger.address, task.epoch, task.round, other_config_hash)


def _nothing() -> None:
    """Nothing was left open that must be taken up."""
