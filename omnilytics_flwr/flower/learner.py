"""From an opened round to its settlement: what the inner strategy makes of the accepted mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from logging import WARNING
from typing import TYPE_CHECKING, Any

from flwr.app import MetricRecord, RecordDict

from ..errors import NotReopened, SettlementRefused, TermsError
from ..model_owner.clipping import Clipped
from ..model_owner.decision import Decision
from ..model_owner.live_round import Metrics
from ..model_owner.round_keeper import RoundKeeper
from ..model_owner.run_directory import Record
from .compat import log
from .exchanges import Exchanges
from .inner_strategy import InnerStrategy
from .planner import Plan, Planner
from .run_memory import Progress, RunMemory
from .settle_watch import SettleWatch
from .split_model import SplitModel
from .weights import add_flat, in_form_of

if TYPE_CHECKING:
    pass

WATCH_SHARE = 0.5
"""Of the time that is left to settle, what the inner strategy may take."""

MOST_AT_CLIP = 0.001
"""Share of the mean's entries at the clip above which the log says so."""


class Learner:
    """Learns from opened rounds and settles them.

    Attributes
    ----------
    cut_for_all : float, 0 .. 1
        Share of the weights at which the last mean had every data owner's change cut.
    """

    def __init__(self, keeper: RoundKeeper, exchanges: Exchanges, inner: InnerStrategy, planner: Planner, memory: RunMemory) -> None:
        self._keeper = keeper
        self._exchanges = exchanges
        self._inner = inner
        self._planner = planner
        self._memory = memory
        self.cut_for_all = 0.0

    def learn_and_settle(self, server_round: int, model: SplitModel, take_up: Callable[[], None]) -> tuple[Progress, SplitModel | None]:
        """Prove, learn, settle; again with fewer groups as long as the market refuses.

        Whatever the inner strategy does in between, the round is settled: if it fails, before its failure is raised; if it takes too long,
        by a watch. `take_up` brings it from its present state to where it must be before it learns. Gives the run after this round of
        Flower's, and the model with its new public part; None for it if nothing was learnt.
        """
        before = self._inner.attributes()
        try:
            return self._until_settled(server_round, model, before, take_up)
        except NotReopened as lost:  # nobody is paid, so nothing is learnt
            log(WARNING, "%s", lost)
            self._inner.put_back(before)
            take_up()
            return self.unchanged(server_round, model), None

    def _until_settled(
        self, server_round: int, model: SplitModel, before: Mapping[str, Any], take_up: Callable[[], None]
    ) -> tuple[Progress, SplitModel | None]:
        while True:
            decision = self._keeper.prove()
            # What is read of the live round is read before the watch may end it.
            heard = [_contents(metrics) for metrics in self._keeper.live.metrics()]
            if decision.mean is not None:
                self._look_at_clip(decision.cut)
            with SettleWatch(lambda: self._pay(decision), WATCH_SHARE * self._keeper.settle_seconds()) as watch:  # noqa: B023
                try:
                    take_up()
                    progress, learnt, following = self._learn(server_round, model, decision, heard)
                    outcome = None if self._memory.directory is None else progress.to_record()
                except (Exception, SystemExit):  # an app may leave by sys.exit, but not without paying
                    watch.settle(lambda: self._pay(decision))  # noqa: B023
                    raise
                try:
                    in_time = watch.settle(lambda: self._settle(decision, following, outcome))  # noqa: B023
                except SettlementRefused as refusal:
                    log(WARNING, "%s", refusal)
                    self._inner.put_back(before)
                    self._deliver_again()
                    continue
            return (progress if in_time else replace(progress, ahead=False)), learnt

    def unchanged(self, server_round: int, model: SplitModel) -> Progress:
        """The run after a round that leaves the model as it is, with the inner strategy's present state."""
        train_config, evaluate_config = self._planner.configs()
        return self._memory.capture(Progress(server_round, model.whole(), train_config=train_config, evaluate_config=evaluate_config))

    def _learn(
        self, server_round: int, model: SplitModel, decision: Decision, heard: Sequence[RecordDict]
    ) -> tuple[Progress, SplitModel | None, Plan | None]:
        """What the inner strategy makes of the mean, and the task that it will ask for next."""
        if decision.mean is None:
            return self.unchanged(server_round, model), None, None
        made, metrics = self._inner.aggregate_train(server_round, add_flat(model.public, decision.mean), heard)
        if made is None:
            return replace(self.unchanged(server_round, model), metrics=metrics), None, None
        learnt = model.with_public(in_form_of(made, model.public))
        progress = replace(self.unchanged(server_round, learnt), metrics=metrics)
        following = self._look_ahead(server_round, learnt)
        return replace(progress, ahead=following is not None), learnt, following

    def _look_ahead(self, server_round: int, learnt: SplitModel) -> Plan | None:
        """The next task, None if the inner strategy does not say it now; then it is asked again, where no open round waits for it."""
        grid = self._exchanges.grid
        if grid is None:
            raise TermsError("aggregate_train came before configure_train; run the strategy through start()")
        try:
            return self._planner.look_ahead(server_round, learnt.public, grid.as_of(self._exchanges.asked))
        except Exception as error:
            log(WARNING, "the inner strategy does not say what comes next (%s); the round is settled without the next task", error)
            return None

    def _look_at_clip(self, cut: Clipped) -> None:
        self.cut_for_all, terms = cut.for_all, self._keeper.terms
        remedy = "a market with a larger clip would learn more (`omnilytics market terms-propose` proposes one)"
        if cut.at_clip > MOST_AT_CLIP and cut.at_clip >= self.cut_for_all:
            log(
                WARNING,
                "%.1f %% of the entries of the accepted mean sit at the clip of %g, so that updates are cut; %s",
                100 * cut.at_clip,
                terms.clip,
                remedy,
            )
        elif self.cut_for_all > MOST_AT_CLIP:
            log(
                WARNING,
                "the clip of %g has cut every data owner's change of %.1f %% of the weights that move; %s",
                terms.clip,
                100 * self.cut_for_all,
                remedy,
            )

    def _settle(self, decision: Decision, following: Plan | None, outcome: Record | None) -> None:
        parts = None if following is None else following.parts()
        self._exchanges.with_signatures(lambda: self._keeper.settle(decision, parts, outcome))

    def _pay(self, decision: Decision) -> None:
        """Settle without having learnt."""
        while True:
            try:
                self._exchanges.with_signatures(lambda: self._keeper.settle(decision, None))  # noqa: B023
                return
            except SettlementRefused as refusal:
                log(WARNING, "%s", refusal)
                self._deliver_again()
                decision = self._keeper.prove()

    def _deliver_again(self) -> None:
        """Collect what was delivered for a roster that the chain has forgotten, if that names the roster."""
        if self._keeper.may_deliver_again():
            self._exchanges.deliver()


def _contents(metrics: Metrics) -> RecordDict:
    """A data owner's metrics as they would have come in a reply."""
    return RecordDict({name: MetricRecord(dict(record)) for name, record in metrics.items()})
