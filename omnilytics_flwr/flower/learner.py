"""From an opened round to its settlement: what the inner strategy makes of the accepted mean."""

from __future__ import annotations

from dataclasses import replace
from logging import WARNING

from flwr.app import MetricRecord, RecordDict

from ..errors import SettlementRefused, TermsError
from ..model_owner.decision import Decision
from ..model_owner.live_round import Metrics
from ..model_owner.round_keeper import RoundKeeper
from .compat import log
from .exchanges import Exchanges
from .inner_strategy import InnerStrategy
from .planner import Plan, Planner
from .run_memory import Progress, RunMemory
from .split_model import SplitModel
from .weights import add_flat, in_form_of


class Learner:
    """Learns from opened rounds and settles them."""

    def __init__(self, keeper: RoundKeeper, exchanges: Exchanges, inner: InnerStrategy, planner: Planner, memory: RunMemory) -> None:
        self._keeper = keeper
        self._exchanges = exchanges
        self._inner = inner
        self._planner = planner
        self._memory = memory

    def learn_and_settle(self, server_round: int, model: SplitModel) -> tuple[Progress, SplitModel | None]:
        """Prove, learn, settle; again with fewer groups as long as the market refuses.

        Gives the run after this round of Flower's, and the model with its new public part; None for it if nothing was learnt.
        """
        before = self._inner.attributes()
        while True:
            decision = self._keeper.prove()
            progress, learnt, following = self._learn(server_round, model, decision)
            try:
                self._settle(decision, following, progress)
                return progress, learnt
            except SettlementRefused as refusal:
                log(WARNING, "%s", refusal)
                self._inner.put_back(before)

    def unchanged(self, server_round: int, model: SplitModel) -> Progress:
        """The run after a round that leaves the model as it is, with the inner strategy's present state."""
        train_config, evaluate_config = self._planner.configs()
        return self._memory.capture(Progress(server_round, model.whole(), train_config=train_config, evaluate_config=evaluate_config))

    def _learn(self, server_round: int, model: SplitModel, decision: Decision) -> tuple[Progress, SplitModel | None, Plan | None]:
        """What the inner strategy makes of the mean, and the task that it will ask for next."""
        if decision.mean is None:
            log(WARNING, "round %s: no group is left to learn from; its members are paid all the same", server_round)
            return self.unchanged(server_round, model), None, None
        grid = self._exchanges.grid
        try:
            if grid is None:
                raise TermsError("aggregate_train came before configure_train; run the strategy through start()")
            heard = [_contents(metrics) for metrics in self._keeper.live.metrics()]
            made, metrics = self._inner.aggregate_train(server_round, add_flat(model.public, decision.mean), heard)
            if made is None:
                return replace(self.unchanged(server_round, model), metrics=metrics), None, None
            learnt = model.with_public(in_form_of(made, model.public))
            progress = replace(self.unchanged(server_round, learnt), metrics=metrics, ahead=True)
            return progress, learnt, self._planner.look_ahead(server_round, learnt.public, grid)
        except Exception:
            self._pay(decision)  # whatever the inner strategy does: an opened round is paid
            raise

    def _settle(self, decision: Decision, following: Plan | None, progress: Progress) -> None:
        outcome = None if self._memory.directory is None else progress.to_record()
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
                decision = self._keeper.prove()


def _contents(metrics: Metrics) -> RecordDict:
    """A data owner's metrics as they would have come in a reply."""
    return RecordDict({name: MetricRecord(dict(record)) for name, record in metrics.items()})
