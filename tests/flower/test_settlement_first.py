"""Nothing that a wrapped strategy or a callback does stands between an open round and its settlement, or takes what was learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, strategy_utils

from omnilytics_flwr.errors import CannotCompose
from omnilytics_flwr.flower import learner
from omnilytics_flwr.flower.settle_watch import SettleWatch
from omnilytics_flwr.flower.steady_grid import NodesAreGone, SteadyGrid
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.stage import Stage
from tests.flower.clients import exchange_in, make_model
from tests.flower.killing import Killed, Killer
from tests.flower.markets import FIRST_NODE, MemoryRun, accepted_owners, assert_close, exact_grid, memory_run, waiter
from tests.support.nodes import HELD_SECONDS


def learnt_the_mean(run: MemoryRun, arrays: ArrayRecord) -> None:
    assert_close(arrays, run.expected(make_model(), accepted_owners(run.reports[0])))


@pytest.mark.parametrize("wanted", [{"min_available_nodes": 15}, {"min_train_nodes": 15}, {"min_evaluate_nodes": 15}])
def test_node_that_vanishes_after_its_delivery_keeps_no_round_open(tmp_path: Path, wanted: dict[str, int]) -> None:
    """Flower's own sampling waits for it for ever."""
    run = memory_run(tmp_path, inner=FedAvg(**wanted))

    def vanish(node: int, message: Message) -> Message:
        if "vector" in message.content.config_records.get("omnilytics", {}) and node == FIRST_NODE:
            run.grid.apps.pop(node)
        return message

    run.grid.on_reply = vanish
    result = run.strategy.start(run.grid, make_model(), 1)
    assert len(run.grid.apps) == 14
    assert [report.settled for report in run.reports] == [True]
    learnt_the_mean(run, result.arrays)
    evaluated = [node for node, message in run.grid.requests if exchange_in(message) == "evaluate"]
    assert FIRST_NODE not in evaluated, "nobody waits for its evaluation either"


def test_strategy_that_waits_for_nodes_nobody_has_seen_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a restart: who was there when the round began is not known."""
    monkeypatch.setattr(strategy_utils, "sleep", lambda seconds: None)
    grid, strategy = exact_grid(FedAvg(min_available_nodes=4))
    hasty = SteadyGrid(grid, strategy._clock).as_of([100, 101])
    assert sorted(hasty.get_node_ids()) == [100, 101, 102]
    with pytest.raises(NodesAreGone):
        strategy._planner.look_ahead(1, make_model(), hasty)
    assert strategy._planner.evaluate_plan(1, make_model(), ConfigRecord()) is None, "it is no failure of the strategy's"


class Slow(FedAvg):
    """Learns only once its round is over."""

    def __init__(self, **options: object) -> None:
        super().__init__(train_metrics_aggr_fn=self.wait_for_it, **options)  # type: ignore[arg-type]
        self.is_over = Event()

    def wait_for_it(self, contents: list[RecordDict], weight: str) -> MetricRecord:
        assert self.is_over.wait(60), "the round stays open"
        return MetricRecord({"waited": 1})


def test_strategy_that_takes_for_ever_is_not_waited_for_and_what_it_learns_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "WATCH_SHARE", 0.0)
    inner = Slow()
    run = memory_run(tmp_path, inner=inner, options={"on_round": lambda report: inner.is_over.set()})
    result = run.strategy.start(run.grid, make_model(), 2)
    assert [report.settled for report in run.reports] == [True, True]
    assert [run.events(number) for number in range(2)] == [["anchor", "open", "settle"]] * 2, "the next task is anchored later"
    assert run.scene.surplus_wei() == 0
    assert result.train_metrics_clientapp[2]["waited"] == 1


class Hasty(SettleWatch):
    """Settles before anything is learnt."""

    def __enter__(self) -> SettleWatch:
        self._intervene()
        return self


def test_watch_that_settles_at_once_takes_nothing_of_what_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "SettleWatch", Hasty)
    run = memory_run(tmp_path)
    result = run.strategy.start(run.grid, make_model(), 1)
    assert [report.settled for report in run.reports] == [True]
    learnt_the_mean(run, result.arrays)
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(7.0)


class KilledOpening(Killer):
    """Strikes after an opening; `strike_after` counts openings alone."""

    def note(self, step: str) -> None:
        if step == "send open":
            super().note(step)


@pytest.mark.parametrize("opened", [0, 1])
def test_open_round_is_settled_by_a_process_that_never_sees_as_many_nodes_as_the_strategy_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: int
) -> None:
    """The model owner is killed after it has opened its first or second round."""
    monkeypatch.setattr(strategy_utils, "sleep", lambda seconds: None)
    run = memory_run(tmp_path / "owners")

    def process(killer: Killer) -> Omnilytics:
        ledger, wait = killer.ledger(run.scene.ledger()), waiter(run.scene)
        return Omnilytics(FedAvg(min_available_nodes=15), ledger=ledger, run_dir=tmp_path / "run", wait=wait)

    with pytest.raises(Killed):
        process(KilledOpening(opened)).start(run.grid, make_model(), opened + 1)
    run.grid.apps.pop(FIRST_NODE)
    strategy = process(Killer())
    strategy.start(run.grid, make_model(), opened + 1)
    assert [(report.round, report.settled) for report in strategy.reports] == [(opened + 1, True)]
    assert run.scene.state.stage is Stage.IDLE


@pytest.mark.parametrize("opened", [0, 1])
def test_open_round_is_settled_by_a_process_whose_strategy_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: int) -> None:
    """The model owner is killed after it has opened its first or second round."""
    run, is_over = memory_run(tmp_path / "owners"), Event()

    def hang(strategy: FedAvg, *told: Any) -> Iterable[Message]:
        assert is_over.wait(HELD_SECONDS), "the round stays open"
        return asked(strategy, *told)

    def start(killer: Killer, **options: Any) -> Omnilytics:
        ledger, wait = killer.ledger(run.scene.ledger()), waiter(run.scene)
        strategy = Omnilytics(FedAvg(), ledger=ledger, run_dir=tmp_path / "run", wait=wait, **options)
        strategy.start(run.grid, make_model(), opened + 1)
        return strategy

    with pytest.raises(Killed):
        start(KilledOpening(opened))
    asked = FedAvg.configure_train
    monkeypatch.setattr(FedAvg, "configure_train", hang)
    monkeypatch.setattr(learner, "WATCH_SHARE", 0.0)
    reports = start(Killer(), on_round=lambda report: is_over.set()).reports
    assert [(report.round, report.settled) for report in reports] == [(opened + 1, True)]


def test_process_that_failed_over_a_round_it_took_up_does_not_take_it_up_again(tmp_path: Path) -> None:
    """Whoever catches the failure may start the same strategy once more; the round that was open is settled and over."""
    run, asked = memory_run(tmp_path / "owners"), list[int]()

    class Fragile(FedAvg):
        is_broken = False

        def configure_train(self, server_round: int, *told: Any) -> Iterable[Message]:
            asked.append(server_round)
            if self.is_broken:
                raise RuntimeError("broken")
            return super().configure_train(server_round, *told)

    def process(killer: Killer, inner: FedAvg) -> Omnilytics:
        return Omnilytics(inner, ledger=killer.ledger(run.scene.ledger()), run_dir=tmp_path / "run", wait=waiter(run.scene))

    with pytest.raises(Killed):
        process(KilledOpening(0), Fragile()).start(run.grid, make_model(), 1)
    strategy = process(Killer(), inner := Fragile())
    inner.is_broken = True
    with pytest.raises(RuntimeError, match="broken"):
        strategy.start(run.grid, make_model(), 1)
    inner.is_broken = False
    asked.clear()
    strategy.start(run.grid, make_model(), 1)
    assert {report.round for report in strategy.reports if report.settled} == {1, 2}
    assert asked == [1, 2], "for the round itself, and ahead of the next; not once more for the one that is over"


def unknown_metric(contents: list[RecordDict], weight: str) -> MetricRecord:
    return MetricRecord({"mean": sum(float(content["metrics"]["train_loss"]) for content in contents)})  # type: ignore[arg-type]


def test_metrics_that_the_terms_do_not_name_cost_metrics_and_not_the_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inner = FedAvg(train_metrics_aggr_fn=unknown_metric, evaluate_metrics_aggr_fn=unknown_metric)
    run = memory_run(tmp_path, inner=inner, metrics=("num-examples",))
    result = run.strategy.start(run.grid, make_model(), 1)
    learnt_the_mean(run, result.arrays)
    assert not result.train_metrics_clientapp
    assert not result.evaluate_metrics_clientapp
    for name in ("train_metrics_aggr_fn", "aggregate_evaluate"):
        assert f"{name} of FedAvg failed (KeyError('train_loss'))" in caplog.text
    assert "Metrics that the terms let leave a data owner: num-examples" in caplog.text


def numpys(*told: object) -> Any:
    return MetricRecord({"mean": np.mean([1.0, 2.0]), "each": [np.float64(1.5), np.float64(2.0)]})


@pytest.mark.parametrize("resumable", [False, True])
def test_metrics_of_numpy_are_kept_as_pythons_own(tmp_path: Path, resumable: bool) -> None:
    inner = FedAvg(train_metrics_aggr_fn=numpys, evaluate_metrics_aggr_fn=numpys)
    run = memory_run(tmp_path, inner=inner, options={"run_dir": tmp_path / "run"} if resumable else {})
    result = run.strategy.start(run.grid, make_model(), 2, evaluate_fn=numpys)
    assert [report.settled for report in run.reports] == [True, True]
    for found in (result.train_metrics_clientapp, result.evaluate_metrics_clientapp, result.evaluate_metrics_serverapp):
        assert [dict(found[number]) for number in (1, 2)] == 2 * [{"mean": 1.5, "each": [1.5, 2.0]}]


@pytest.mark.parametrize("metrics", [{"mean": 1.5}, object(), MetricRecord({"mean": [1.0]}), 3])
def test_what_is_no_metrics_record_costs_no_round(tmp_path: Path, metrics: object) -> None:
    run = memory_run(tmp_path, inner=FedAvg(train_metrics_aggr_fn=lambda *_: metrics), options={"run_dir": tmp_path / "run"})  # type: ignore[arg-type,return-value]
    learnt_the_mean(run, run.strategy.start(run.grid, make_model(), 1).arrays)


def leave(*told: object) -> Any:
    raise SystemExit(3)


def test_app_that_leaves_in_a_callback_pays_first(tmp_path: Path) -> None:
    run = memory_run(tmp_path, inner=FedAvg(train_metrics_aggr_fn=leave))
    with pytest.raises(SystemExit):
        run.strategy.start(run.grid, make_model(), 2)
    assert [report.settled for report in run.reports] == [True]
    assert run.scene.state.stage is Stage.IDLE


class KeepsWhatCannotBeSaved(FedAvg):
    """Finds something to keep when it is asked for a round."""

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        self.note = object()
        return super().configure_train(server_round, arrays, config, grid)


def test_state_that_cannot_be_saved_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    run = memory_run(tmp_path, inner=KeepsWhatCannotBeSaved(), options={"run_dir": tmp_path / "run"})
    with pytest.raises(CannotCompose, match="note cannot be saved"):
        run.strategy.start(run.grid, make_model(), 1)
    assert run.scene.state.round == 0


def fail(*told: object) -> None:
    raise RuntimeError("the display is gone")


@pytest.mark.parametrize("callback", ["on_stage", "on_round", "on_model"])
def test_callback_that_fails_is_told_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture, callback: str) -> None:
    run = memory_run(tmp_path, options={callback: fail})
    learnt_the_mean(run, run.strategy.start(run.grid, make_model(), 1).arrays)
    assert "the display is gone" in caplog.text


@pytest.mark.parametrize("stage", ["deliver", "prove", "settle"])
def test_display_that_hangs_while_a_round_is_open_does_not_keep_it_from_its_settlement(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """The display gets no further until the round is over; what it is told of later is not lost."""
    monkeypatch.setattr("omnilytics_flwr.model_owner.aside.CALLBACK_SECONDS", 0.1)
    is_over, shown, caught_up = Event(), [], Event()

    def show(number: int, name: str) -> None:
        if name == stage:
            shown.append(is_over.wait(HELD_SECONDS))
        if name == "done":
            caught_up.set()

    run = memory_run(tmp_path, options={"on_stage": show, "on_round": lambda report: is_over.set()})
    learnt_the_mean(run, run.strategy.start(run.grid, make_model(), 1).arrays)
    assert caught_up.wait(HELD_SECONDS)
    assert shown == [True]
    assert "has not returned" in caplog.text


class NoSecondRound(FedAvg):
    """Fails when it is asked for the second round."""

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        if server_round == 2:
            raise RuntimeError("no second round")
        return super().configure_train(server_round, arrays, config, grid)


@pytest.mark.parametrize("run_dir", [False, True])
def test_strategy_that_does_not_say_what_comes_next_fails_after_the_round_is_settled_and_seen(tmp_path: Path, run_dir: bool) -> None:
    seen: list[tuple[int, ArrayRecord]] = []
    options: dict[str, object] = {"on_model": lambda number, model, metrics: seen.append((number, model))}
    run = memory_run(tmp_path / "owners", inner=NoSecondRound(), options=options | ({"run_dir": tmp_path / "run"} if run_dir else {}))
    with pytest.raises(RuntimeError, match="no second round"):
        run.strategy.start(run.grid, make_model(), 2)
    assert [report.settled for report in run.reports] == [True]
    assert run.scene.state.stage is Stage.IDLE
    ((number, model),) = seen
    assert number == 1
    learnt_the_mean(run, model)


def test_observer_sees_the_whole_model_and_the_metrics_after_each_round_that_taught_something(tmp_path: Path) -> None:
    seen: list[tuple[int, ArrayRecord, dict[str, object]]] = []
    observe: Callable[..., object] = lambda number, model, metrics: seen.append((number, model, dict(metrics)))  # noqa: E731
    run = memory_run(tmp_path, options={"on_model": observe})
    result = run.strategy.start(run.grid, make_model(), 2)
    assert [number for number, _, _ in seen] == [1, 2]
    assert {n: a.data for n, a in seen[-1][1].items()} == {n: a.data for n, a in result.arrays.items()}
    assert seen[-1][2] == dict(result.train_metrics_clientapp[2])
