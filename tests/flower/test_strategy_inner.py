"""Inner strategies that fail, or ask for more than one task: what was opened is settled, and nothing else is started."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdam, FedAvg

from omnilytics_flwr.crypto.statement import Statement, Verdict
from omnilytics_flwr.errors import CannotCompose
from omnilytics_flwr.market.refusals import BadSignature
from omnilytics_flwr.market.roster import bits_of
from omnilytics_flwr.market.stage import Stage
from tests.flower.clients import make_model
from tests.flower.markets import accepted_owners, memory_run
from tests.oracle import SumcheckVerification
from tests.support.builders import MARKET


class Broken(FedAvg):
    """Fails where it aggregates."""

    def _check_and_log_replies(self, *arguments: object, **options: object) -> tuple[list[Message], list[Message]]:
        raise RuntimeError("my aggregation is wrong")


def test_inner_strategy_that_fails_settles_first(tmp_path: Path) -> None:
    run = memory_run(tmp_path, inner=Broken())
    with pytest.raises(RuntimeError, match="my aggregation is wrong"):
        run.strategy.start(run.grid, make_model(), 1)
    assert run.reports[0].settled
    assert len(run.reports[0].paid) == 12
    assert run.scene.state.stage is Stage.IDLE


class Grudging(SumcheckVerification):
    """A verification with a fault: it refuses every settlement in which the group at roster position 1, with this seat, takes part."""

    seat = 0

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        if not statement.is_outside(1):
            raise BadSignature(self.seat, MARKET)
        return super().verify(statement, settlement)


def test_settlement_that_is_refused_teaches_only_what_is_settled_at_last(tmp_path: Path) -> None:
    """The inner strategy learns from a mean that the market then refuses; its moments must not remember it."""
    inner = FedAdam()
    grudging = Grudging()
    run = memory_run(tmp_path, inner=inner, verification=grudging)
    grudging.seat = bits_of(run.scene.market.storage.groups[1])[0]
    before = make_model()
    run.strategy.start(run.grid, before, 1)
    (report,) = run.reports
    assert report.settled
    assert report.waived == (1,)
    assert len(accepted_owners(report)) == 12
    mean = run.expected(before, accepted_owners(report))
    assert inner.m_t is not None
    for name, moment in inner.m_t.items():
        np.testing.assert_allclose(moment, 0.1 * (mean[name] - before[name].numpy()), rtol=0, atol=1e-5)


class Picky(FedAvg):
    """Sends every node something of its own from the second round on."""

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        messages = super().configure_train(server_round, arrays, config, grid)
        for place, message in enumerate(messages):
            if server_round == 2:
                message.content = RecordDict({"arrays": arrays, "config": ConfigRecord({"node": place})})
            yield message


class OtherArrays(FedAvg):
    """Sends other arrays than it was given."""

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        return super().configure_train(server_round, make_model(9), config, grid)


class Talkative(FedAvg):
    """Sends a second configuration along."""

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        for message in super().configure_train(server_round, arrays, config, grid):
            message.content["more"] = ConfigRecord({"x": 1})
            yield message


class PickyEvaluation(FedAvg):
    """Evaluates on other settings at every node."""

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        for node in grid.get_node_ids():
            yield Message(RecordDict({"arrays": arrays, "config": ConfigRecord({"node": node})}), node, "evaluate")


@pytest.mark.parametrize(
    ("inner", "reason", "reports"),
    [
        (OtherArrays, "other arrays than it was given", 0),
        (Talkative, "more than arrays and one configuration", 0),
        (Picky, "different configurations to different nodes", 1),
        (PickyEvaluation, "different configurations to different nodes", 1),
    ],
)
def test_inner_strategy_that_sends_more_than_one_task_is_refused(tmp_path: Path, inner: type[FedAvg], reason: str, reports: int) -> None:
    run = memory_run(tmp_path, inner=inner())
    with pytest.raises(CannotCompose, match=reason):
        run.strategy.start(run.grid, make_model(), 2)
    assert [report.settled for report in run.reports] == [True] * reports
    assert run.scene.state.stage is Stage.IDLE
    assert run.scene.state.round == reports
