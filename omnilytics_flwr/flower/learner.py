"""From an opened round to its settlement: what the inner strategy makes of the accepted mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from logging import WARNING

from flwr.app import ArrayRecord, Message, MessageType, MetricRecord, RecordDict

from ..errors import SettlementRefused, TermsError
from ..model_owner.decision import Decision
from ..model_owner.round_keeper import RoundKeeper
from .compat import log
from .exchanges import Exchanges, replies_of
from .planner import Plan, Planner
from .run_memory import Progress, RunMemory
from .weights import add_flat, in_form_of


class Learner:
    """Learns from opened rounds and settles them.

    Parameters
    ----------
    keeper : RoundKeeper
    exchanges : Exchanges
    planner : Planner
    memory : RunMemory
    """

    def __init__(self, keeper: RoundKeeper, exchanges: Exchanges, planner: Planner, memory: RunMemory) -> None:
        self._keeper = keeper
        self._exchanges = exchanges
        self._planner = planner
        self._memory = memory

    def learn_and_settle(
        self, number: int, public: ArrayRecord, whole: Callable[[ArrayRecord], ArrayRecord]
    ) -> tuple[Progress, ArrayRecord | None]:
        """Prove, learn, settle; again with fewer groups as long as the market refuses.

        Parameters
        ----------
        number : int
            Flower's round.
        public : ArrayRecord
            The public part that was trained.
        whole : callable
            Joins a public part with the private one.

        Returns
        -------
        Progress
        ArrayRecord or None
            The new public part; None if nothing was learnt.
        """
        before = self._memory.inner.copied()
        while True:
            proven = self._keeper.prove()
            progress, arrays, following = self._learn(number, public, whole, proven)
            try:
                self._settle(proven, following, progress)
                return progress, arrays
            except SettlementRefused as refusal:
                log(WARNING, "%s", refusal)
                self._memory.inner.put_back(before)

    def unchanged(self, number: int, model: ArrayRecord) -> Progress:
        """The run after a round that leaves the whole model as it is; the inner strategy is taken as it is now."""
        train_config, evaluate_config = self._planner.configs()
        return self._memory.capture(Progress(number, model, train_config=train_config, evaluate_config=evaluate_config))

    def _learn(
        self, number: int, public: ArrayRecord, whole: Callable[[ArrayRecord], ArrayRecord], proven: Decision
    ) -> tuple[Progress, ArrayRecord | None, Plan | None]:
        """What the inner strategy makes of the mean, and the task that it will ask for next."""
        if proven.mean is None:
            log(WARNING, "round %s: no group is left to learn from; its members are paid all the same", number)
            return self.unchanged(number, whole(public)), None, None
        keys, grid = self._planner.keys, self._exchanges.grid
        try:
            if grid is None:
                raise TermsError("aggregate_train came before configure_train; run the strategy through start()")
            content = RecordDict({keys.arrays: add_flat(public, proven.mean), "metrics": MetricRecord({keys.weight: 1.0})})
            mean = Message(content, reply_to=Message(RecordDict(), 0, MessageType.TRAIN))
            made, metrics = keys.aggregate_train(number, mean, replies_of(self._keeper.metrics()))
            if made is None:
                return replace(self.unchanged(number, whole(public)), metrics=metrics), None, None
            arrays = in_form_of(made, public)
            progress = replace(self.unchanged(number, whole(arrays)), metrics=metrics, ahead=True)
            return progress, arrays, self._planner.look_ahead(number, arrays, grid)
        except Exception:
            self._pay(proven)  # whatever the inner strategy does, what was opened is paid
            raise

    def _settle(self, proven: Decision, following: Plan | None, progress: Progress) -> None:
        outcome = None if self._memory.directory is None else progress.to_record()
        parts = None if following is None else following.parts()
        self._exchanges.certainly(lambda: self._keeper.settle(proven, parts, outcome))

    def _pay(self, proven: Decision) -> None:
        """Settle without having learnt."""
        while True:
            try:
                self._exchanges.certainly(lambda: self._keeper.settle(proven, None))  # noqa: B023
                return
            except SettlementRefused as refusal:
                log(WARNING, "%s", refusal)
                proven = self._keeper.prove()
