"""What a run directory is good for besides kills: more rounds later, other settings, and refusals of what is of another run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAdam, FedAvg, Result, Strategy

from omnilytics_flwr.errors import CannotCompose, Malformed, NothingLearnt, Refused, TermsError
from omnilytics_flwr.flower.run_memory import Progress
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.stage import Stage
from tests.flower.clients import SHAPES, lose, make_model
from tests.flower.killing import Killed
from tests.flower.markets import FIRST_NODE, MemoryRun, memory_run, waiter
from tests.support.builders import address_of


@pytest.fixture
def run(tmp_path: Path) -> MemoryRun:
    return memory_run(tmp_path)


def start(
    run: MemoryRun, run_dir: Path, rounds: int, inner: Strategy | None = None, model: ArrayRecord | None = None, **options: object
) -> tuple[Result, Omnilytics]:
    strategy = Omnilytics(inner or FedAvg(), ledger=run.scene.ledger(), run_dir=run_dir, wait=waiter(run.scene))
    result = strategy.start(run.grid, model or make_model(), rounds, **options)  # type: ignore[arg-type]
    return result, strategy


def test_run_is_prolonged_by_more_rounds(run: MemoryRun, tmp_path: Path) -> None:
    evaluated: list[int] = []

    def evaluate(number: int, arrays: ArrayRecord) -> MetricRecord:
        evaluated.append(number)
        return MetricRecord({"first": float(arrays["body.bias"].numpy()[0])})

    first, _ = start(run, tmp_path / "run", 1, evaluate_fn=evaluate)
    second, strategy = start(run, tmp_path / "run", 3, evaluate_fn=evaluate)
    assert [report.round for report in strategy.reports] == [2, 3]
    assert [[receipt.event for receipt in report.receipts] for report in strategy.reports] == [["open", "settle"]] * 2
    assert evaluated == [0, 1, 2, 3]
    assert list(second.train_metrics_clientapp) == list(second.evaluate_metrics_clientapp) == [1, 2, 3]
    assert list(second.evaluate_metrics_serverapp) == [0, 1, 2, 3]
    assert dict(second.evaluate_metrics_serverapp[1]) == dict(first.evaluate_metrics_serverapp[1])
    sent = [message.content.config_records["config"]["server-round"] for message in run.trainers[0].trained]
    assert sent == [1, 2, 3]


def test_settings_that_the_operator_changes_count(run: MemoryRun, tmp_path: Path) -> None:
    for lr in (1.0, 0.5):
        start(run, tmp_path / "run", round(1 / lr), train_config=ConfigRecord({"lr": lr}))
    sent = [message.content.config_records["config"]["lr"] for message in run.trainers[0].trained]
    assert sent == [1.0, 0.5]


def test_round_that_did_not_open_counts_as_done(run: MemoryRun, tmp_path: Path) -> None:
    run.grid.on_request = lose("train", *(FIRST_NODE + group[0] for group in run.groups()))
    with pytest.raises(NothingLearnt):
        start(run, tmp_path / "run", 1)
    run.grid.on_request = lambda node, message: message
    result, strategy = start(run, tmp_path / "run", 2)
    assert [report.settled for report in strategy.reports] == [True]
    assert list(result.train_metrics_clientapp) == [2]
    assert address_of(0) in strategy.reports[0].committed


def test_run_directory_of_another_strategy_or_model_is_refused(run: MemoryRun, tmp_path: Path) -> None:
    start(run, tmp_path / "run", 1)
    with pytest.raises(TermsError, match="is of a run of FedAvg, this is FedAdam"):
        start(run, tmp_path / "run", 2, FedAdam())
    other = ArrayRecord({name.replace("head", "tail"): array for name, array in make_model().items()})
    with pytest.raises(TermsError, match=r"another model: parameter 'head\.weight' came where 'tail\.weight' was expected"):
        start(run, tmp_path / "run", 2, model=other)


def test_strategy_that_cannot_be_saved_is_refused_before_anything_is_anchored(run: MemoryRun, tmp_path: Path) -> None:
    inner = FedAvg()
    inner.seen = {1, 2}  # type: ignore[attr-defined]
    with pytest.raises(CannotCompose, match=r"FedAvg\.seen cannot be saved"):
        start(run, tmp_path / "run", 1, inner)
    assert run.scene.state.round == 0
    start(run, tmp_path / "other", 1)


def test_two_runs_from_one_directory_are_refused(run: MemoryRun, tmp_path: Path) -> None:
    def intrude(number: int, arrays: ArrayRecord) -> None:
        with pytest.raises(Refused, match="another process runs from"):
            start(run, tmp_path / "run", 2)

    start(run, tmp_path / "run", 1, evaluate_fn=intrude)


@pytest.mark.parametrize("name", ["progress", "results", "market", "round-0000000001"])
def test_damaged_run_directory_is_said_to_be(run: MemoryRun, tmp_path: Path, name: str) -> None:
    start(run, tmp_path / "run", 1)
    path = tmp_path / "run" / f"{name}.npz"
    path.write_bytes(path.read_bytes()[:-40])
    before = run.scene.state
    with pytest.raises(Malformed, match="is damaged"):
        start(run, tmp_path / "run", 2)
    assert run.scene.state == before


def test_open_round_is_settled_even_if_no_round_is_asked_for_any_more(run: MemoryRun, tmp_path: Path) -> None:
    def die(number: int, stage: str) -> None:
        if (number, stage) == (2, "prove"):
            raise Killed

    strategy = Omnilytics(FedAvg(), ledger=run.scene.ledger(), run_dir=tmp_path / "run", on_stage=die, wait=waiter(run.scene))
    with pytest.raises(Killed):
        strategy.start(run.grid, make_model(), 2)
    assert run.scene.state.stage is Stage.OPEN
    result, later = start(run, tmp_path / "run", 1)
    assert [(report.round, report.settled) for report in later.reports] == [(2, True)]
    assert list(result.arrays) == list(SHAPES)
    assert run.scene.surplus_wei() == 0


@pytest.mark.parametrize(("name", "value"), [("arrays", 3), ("server_round", "1"), ("train_config", {"dict": []}), ("ahead", None)])
def test_progress_comes_back_and_is_malformed_with_a_field_of_another_kind(name: str, value: object) -> None:
    progress = Progress(2, make_model(), train_config=ConfigRecord({"lr": 0.5}), metrics=MetricRecord({"loss": 1.0}), ahead=True)
    record = progress.to_record()
    found = Progress.from_record(record)
    assert (found.server_round, found.ahead, dict(found.train_config), dict(found.metrics or {})) == (2, True, {"lr": 0.5}, {"loss": 1.0})
    assert {key: array.data for key, array in found.arrays.items()} == {key: array.data for key, array in make_model().items()}
    with pytest.raises(Malformed, match=f"the run's {name} is saved as"):
        Progress.from_record(replace(record, facts={**record.facts, name: value}))
