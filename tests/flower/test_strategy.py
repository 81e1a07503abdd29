"""The strategy in a whole market: what it anchors, learns, pays and evaluates."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp.strategy import FedAvg, Result

from omnilytics_flwr.errors import NothingLearnt, TermsError
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.stage import Stage
from tests.flower.clients import SHAPES, arrays_of, is_within, make_model, plain_model, shifted
from tests.flower.markets import MemoryRun, accepted_owners, assert_close, memory_run


@pytest.fixture
def run(tmp_path: Path) -> MemoryRun:
    return memory_run(tmp_path)


def test_log_says_who_trains_before_anybody_has(run: MemoryRun, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run.strategy.configure_train(1, make_model(), ConfigRecord(), run.grid)
    assert (
        "Market round 1: 15 nodes train for 15 data owners in 5 groups; it opens once all groups have committed; if somebody is missing, in "
        in caplog.text
    )
    assert "All updates weigh the same" in caplog.text


@pytest.mark.parametrize("projected", [False, True], ids=["exact", "projected"])
def test_two_rounds_settle_and_learn_the_mean_of_the_accepted(tmp_path: Path, projected: bool) -> None:
    run = memory_run(tmp_path, projected=projected)
    models: list[ArrayRecord] = []
    result = run.strategy.start(run.grid, make_model(), 2, evaluate_fn=lambda number, arrays: models.append(arrays))
    assert [report.settled for report in run.reports] == [True] * 2
    for before, after, report in zip(models, models[1:], run.reports, strict=False):
        accepted = accepted_owners(report)
        assert len(accepted) == 12
        assert len(report.dropped) == 1
        assert set(report.paid) == set(accepted)
        assert_close(after, run.expected(before, accepted))
    assert {n: a.data for n, a in result.arrays.items()} == {n: a.data for n, a in models[-1].items()}
    assert [(report.round, run.events(number)) for number, report in enumerate(run.reports)] == [
        (1, ["anchor", "open", "settle"]),
        (2, ["open", "settle"]),
    ]
    assert run.scene.state.stage is Stage.ANCHORED, "the last model stays anchored, so that it can be evaluated"
    assert run.scene.surplus_wei() == 0
    assert all(len(trainer.trained) == 2 for trainer in run.trainers.values())


def test_changed_configuration_is_anchored_again(run: MemoryRun) -> None:
    config = ConfigRecord({"lr": 1.0})

    def lower(number: int, arrays: ArrayRecord) -> None:
        config["lr"] = 1.0 / (1 + number)

    run.strategy.start(run.grid, make_model(), 2, train_config=config, evaluate_fn=lower)
    assert run.events(1) == ["anchor", "open", "settle"]
    assert [report.round for report in run.reports] == [1, 3]
    sent = [message.content.config_records["config"]["lr"] for message in run.trainers[0].trained]
    assert sent == [1.0, 0.5]


def test_changed_arrays_are_anchored_again(run: MemoryRun) -> None:
    grid, strategy, config = run.grid, run.strategy, ConfigRecord()

    def train(number: int, arrays: ArrayRecord) -> ArrayRecord:
        replies = grid.send_and_receive(strategy.configure_train(number, arrays, config, grid))
        new, _ = strategy.aggregate_train(number, replies)
        assert new is not None
        return new

    first = train(1, make_model())
    changed = shifted(first, 0.5)
    second = train(2, changed)
    assert run.events(1) == ["anchor", "open", "settle"]
    accepted = accepted_owners(run.reports[1])
    assert_close(second, run.expected(changed, accepted))
    train(3, second)
    assert run.events(2) == ["open", "settle"]


def test_evaluation_is_of_the_anchored_model_and_metrics_are_filtered(tmp_path: Path) -> None:
    run = memory_run(tmp_path, inner=FedAvg(fraction_evaluate=1.0), metrics=("loss",))
    models: list[ArrayRecord] = []
    config = ConfigRecord({"batch": 8})
    result = run.strategy.start(run.grid, make_model(), 2, evaluate_config=config, evaluate_fn=lambda number, arrays: models.append(arrays))
    for number, model in ((1, models[1]), (2, models[2])):
        gaps = []
        for trainer in run.trainers.values():
            assert len(trainer.evaluated) == 2
            (arrays,) = trainer.evaluated[number - 1].content.array_records.values()
            assert {n: a.data for n, a in arrays.items()} == {n: a.data for n, a in model.items()}
            got = dict(trainer.evaluated[number - 1].content.config_records["config"].items())
            assert got == {"batch": 8, "server-round": number}
            gaps.append(np.mean([np.abs(a - trainer.target[n].numpy()).mean() for n, a in arrays_of(model).items()]))
        assert dict(result.evaluate_metrics_clientapp[number]) == {"loss": pytest.approx(np.mean(gaps))}
        assert dict(result.train_metrics_clientapp[number]) == {"loss": pytest.approx(7.0)}
    for _, reply in run.grid.replies:
        for record in reply.content.metric_records.values():
            assert set(record) <= {"loss"}
    assert len(run.scene.market.storage.payouts) == 2


@pytest.mark.parametrize("given", [None, {"lr": 0.25}])
def test_run_config_of_the_clients_must_be_the_one_anchored(tmp_path: Path, given: dict[str, float] | None) -> None:
    run = memory_run(tmp_path, options={"run_config": given})
    for context in run.grid.contexts.values():
        context.run_config = {"lr": 0.25}
    matches = given is not None
    with nullcontext() if matches else pytest.raises(NothingLearnt, match="somebody changed them on the way"):
        run.strategy.start(run.grid, make_model(), 1)
    assert [report.settled for report in run.reports] == [matches]
    assert all(trainer.untouched != matches for trainer in run.trainers.values())


@pytest.mark.parametrize(
    ("fractions", "trained", "evaluated"),
    [
        ({"fraction_evaluate": 0.4, "min_evaluate_nodes": 2}, 15, 6),
        ({"fraction_train": 0.2, "fraction_evaluate": 0.0}, 15, 0),
        ({"fraction_train": 0.0}, 0, 0),
    ],
)
def test_inner_strategy_samples_who_evaluates_and_everybody_trains_or_nobody(
    tmp_path: Path, fractions: dict[str, float], trained: int, evaluated: int
) -> None:
    run = memory_run(tmp_path, inner=FedAvg(**fractions))  # type: ignore[arg-type]
    run.strategy.start(run.grid, make_model(), 1)
    assert sum(len(trainer.evaluated) for trainer in run.trainers.values()) == evaluated
    assert sum(len(trainer.trained) for trainer in run.trainers.values()) == trained
    assert len(run.reports) == bool(trained)
    assert run.scene.state.stage is (Stage.ANCHORED if trained else Stage.IDLE)


def test_plain_flower_arrays_settle(tmp_path: Path) -> None:
    run = memory_run(tmp_path)
    for number, trainer in run.trainers.items():
        trainer.target = plain_model(100 + number)
    result = run.strategy.start(run.grid, plain_model(), 1)
    assert list(result.arrays) == ["0", "1", "2"]
    accepted = accepted_owners(run.reports[0])
    assert_close(result.arrays, run.expected(plain_model(), accepted))


def test_stage_callbacks_come_in_order(tmp_path: Path) -> None:
    stages: list[tuple[int, str]] = []
    rounds: list[int] = []
    options = {"on_stage": lambda *stage: stages.append(stage), "on_round": lambda report: rounds.append(report.round)}
    run = memory_run(tmp_path, options=options)
    run.strategy.start(run.grid, make_model(), 2)
    later = ["train", "open", "deliver", "prove", "settle", "done"]
    assert stages == [(1, stage) for stage in ("anchor", *later)] + [(2, stage) for stage in later]
    assert rounds == [1, 2]


# The private part of the model owner


def private_run(folder: Path, **options: object) -> tuple[MemoryRun, Result, list[ArrayRecord]]:
    """Two rounds of a market in which every head is private: the models before and after each, and what came of them."""
    options = {"private": ("head.*",), **options}
    run = memory_run(folder, initial_model=lambda context: make_model(50), options=options, weights=24)
    models: list[ArrayRecord] = []
    return run, run.strategy.start(run.grid, make_model(), 2, evaluate_fn=lambda number, arrays: models.append(arrays)), models


def test_private_part_never_leaves_and_comes_back_whole(tmp_path: Path) -> None:
    run, result, models = private_run(tmp_path)
    head = arrays_of(make_model())["head.weight"]
    assert len(models) == 3
    for model in (*models, result.arrays):
        assert list(model) == list(SHAPES)
        assert np.array_equal(model["head.weight"].numpy(), head)
    secrets = [head, *(t.target["head.weight"].numpy() for t in run.trainers.values())]
    assert not any(context.state.array_records for context in run.grid.contexts.values()), "Flower's state goes with the run"
    for node, message in (*run.grid.requests, *run.grid.replies):
        assert all("head.weight" not in record for record in message.content.array_records.values()), node
        for secret in secrets:
            assert not is_within(secret, message), node


def test_refit_changes_the_private_part_only(tmp_path: Path) -> None:
    seen: list[tuple[int, list[str]]] = []

    def refit(number: int, whole: ArrayRecord) -> ArrayRecord:
        seen.append((number, list(whole)))
        return shifted(whole, 1.0)

    run, result, models = private_run(tmp_path, refit=refit)
    assert seen == [(1, list(SHAPES)), (2, list(SHAPES))]
    heads = [model["head.weight"].numpy() for model in models]
    assert np.array_equal(heads[1], heads[0] + np.float32(1))
    assert np.array_equal(heads[2], heads[1] + np.float32(1))
    public = [name for name in SHAPES if name.startswith("body")]
    for before, after, report in zip(models, models[1:], run.reports, strict=False):
        expected = run.expected(before, accepted_owners(report))
        assert_close(ArrayRecord({name: after[name] for name in public}), {name: expected[name] for name in public})
    assert np.array_equal(result.arrays["head.weight"].numpy(), heads[2])
    assert [run.events(n) for n in range(2)] == [["anchor", "open", "settle"], ["open", "settle"]]


@pytest.mark.parametrize(("patterns", "reason"), [(("tail.*",), "matches none"), (("*",), "every parameter is private")])
def test_private_patterns_that_cannot_be_are_refused(run: MemoryRun, patterns: tuple[str, ...], reason: str) -> None:
    strategy = Omnilytics(FedAvg(), ledger=run.scene.ledger(), private=patterns)
    with pytest.raises(TermsError, match=reason):
        strategy.start(run.grid, make_model(), 1)
