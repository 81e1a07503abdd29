"""The strategy in a whole market: what it anchors, learns, pays and evaluates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.stage import Stage
from tests.flower.clients import SHAPES, arrays_of, is_within, make_model, plain_model, shifted
from tests.flower.markets import MarketPlay, assert_close, make_play


@pytest.fixture
def play(tmp_path: Path) -> MarketPlay:
    return make_play(tmp_path)


def test_two_rounds_settle_and_learn_the_mean_of_the_accepted(play: MarketPlay) -> None:
    models: list[ArrayRecord] = []
    result = play.strategy.start(play.grid, make_model(), 2, evaluate_fn=lambda number, arrays: models.append(arrays))
    assert [report.settled for report in play.reports] == [True] * 2
    for before, after, report in zip(models, models[1:], play.reports, strict=False):
        accepted = tuple(owner for position in report.accepted for owner in report.roster[position])
        assert len(accepted) == 12
        assert len(report.dropped) == 1
        assert set(report.paid) == set(accepted)
        assert_close(after, play.expected(before, accepted))
    assert {n: a.data for n, a in result.arrays.items()} == {n: a.data for n, a in models[-1].items()}
    assert [(report.round, play.events(number)) for number, report in enumerate(play.reports)] == [
        (1, ["anchor", "open", "settle"]),
        (2, ["open", "settle"]),
    ]
    assert play.scene.state.stage is Stage.ANCHORED, "the last model stays anchored, so that it can be evaluated"
    assert play.scene.surplus_wei() == 0
    assert all(len(trainer.trained) == 2 for trainer in play.trainers.values())


def test_changed_configuration_is_anchored_again(play: MarketPlay) -> None:
    config = ConfigRecord({"lr": 1.0})

    def lower(number: int, arrays: ArrayRecord) -> None:
        config["lr"] = 1.0 / (1 + number)

    play.strategy.start(play.grid, make_model(), 2, train_config=config, evaluate_fn=lower)
    assert play.events(1) == ["anchor", "open", "settle"]
    assert [report.round for report in play.reports] == [1, 3]
    sent = [message.content.config_records["config"]["lr"] for message in play.trainers[0].trained]
    assert sent == [1.0, 0.5]


def test_changed_arrays_are_anchored_again(play: MarketPlay) -> None:
    grid, strategy, config = play.grid, play.strategy, ConfigRecord()

    def train(number: int, arrays: ArrayRecord) -> ArrayRecord:
        replies = grid.send_and_receive(strategy.configure_train(number, arrays, config, grid))
        new, _ = strategy.aggregate_train(number, replies)
        assert new is not None
        return new

    first = train(1, make_model())
    changed = shifted(first, 0.5)
    second = train(2, changed)
    assert play.events(1) == ["anchor", "open", "settle"]
    accepted = tuple(owner for position in play.reports[1].accepted for owner in play.reports[1].roster[position])
    assert_close(second, play.expected(changed, accepted))
    train(3, second)
    assert play.events(2) == ["open", "settle"]


def test_evaluation_is_of_the_anchored_model_and_metrics_are_filtered(tmp_path: Path) -> None:
    play = make_play(tmp_path, inner=FedAvg(fraction_evaluate=1.0), metrics=("loss",))
    models: list[ArrayRecord] = []
    config = ConfigRecord({"batch": 8})
    result = play.strategy.start(
        play.grid, make_model(), 2, evaluate_config=config, evaluate_fn=lambda number, arrays: models.append(arrays)
    )
    for number, model in ((1, models[1]), (2, models[2])):
        gaps = []
        for trainer in play.trainers.values():
            assert len(trainer.evaluated) == 2
            (arrays,) = trainer.evaluated[number - 1].content.array_records.values()
            assert {n: a.data for n, a in arrays.items()} == {n: a.data for n, a in model.items()}
            got = dict(trainer.evaluated[number - 1].content.config_records["config"].items())
            assert got == {"batch": 8, "server-round": number}
            gaps.append(np.mean([np.abs(a - trainer.target[n].numpy()).mean() for n, a in arrays_of(model).items()]))
        assert dict(result.evaluate_metrics_clientapp[number]) == {"loss": pytest.approx(np.mean(gaps))}
        assert dict(result.train_metrics_clientapp[number]) == {"loss": pytest.approx(7.0)}
    for _, reply in play.grid.replies:
        for record in reply.content.metric_records.values():
            assert set(record) <= {"loss"}
    assert len(play.scene.market.storage.payouts) == 2


@pytest.mark.parametrize("given", [None, {"lr": 0.25}])
def test_run_config_of_the_clients_must_be_the_one_anchored(tmp_path: Path, given: dict[str, float] | None) -> None:
    play = make_play(tmp_path, options={"run_config": given})
    for context in play.grid.contexts.values():
        context.run_config = {"lr": 0.25}
    play.strategy.start(play.grid, make_model(), 1)
    matches = given is not None
    assert [report.settled for report in play.reports] == [matches]
    assert all(trainer.untouched != matches for trainer in play.trainers.values())


@pytest.mark.parametrize(
    ("fractions", "evaluated"),
    [({"fraction_evaluate": 0.4, "min_evaluate_nodes": 2}, 6), ({"fraction_train": 0.2, "fraction_evaluate": 0.0}, 0)],
)
def test_inner_strategy_samples_who_evaluates_and_everybody_trains(tmp_path: Path, fractions: dict[str, float], evaluated: int) -> None:
    play = make_play(tmp_path, inner=FedAvg(**fractions))  # type: ignore[arg-type]
    play.strategy.start(play.grid, make_model(), 1)
    assert sum(len(trainer.evaluated) for trainer in play.trainers.values()) == evaluated
    assert sum(len(trainer.trained) for trainer in play.trainers.values()) == 15


def test_inner_strategy_that_trains_nobody_leaves_the_market_alone(tmp_path: Path) -> None:
    play = make_play(tmp_path, inner=FedAvg(fraction_train=0.0))
    result = play.strategy.start(play.grid, make_model(), 2)
    assert not result.arrays
    assert not play.reports
    assert play.scene.state.stage is Stage.IDLE


def test_plain_flower_arrays_settle(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    for number, trainer in play.trainers.items():
        trainer.target = plain_model(100 + number)
    result = play.strategy.start(play.grid, plain_model(), 1)
    assert list(result.arrays) == ["0", "1", "2"]
    accepted = tuple(owner for position in play.reports[0].accepted for owner in play.reports[0].roster[position])
    assert_close(result.arrays, play.expected(plain_model(), accepted))


def test_stage_callbacks_come_in_order(tmp_path: Path) -> None:
    stages: list[tuple[int, str]] = []
    rounds: list[int] = []
    options = {
        "on_stage": lambda number, stage: stages.append((number, stage)),
        "on_round": lambda report: rounds.append(report.round),
    }
    play = make_play(tmp_path, options=options)
    play.strategy.start(play.grid, make_model(), 2)
    later = ["train", "open", "deliver", "prove", "settle", "done"]
    assert stages == [(1, stage) for stage in ("anchor", *later)] + [(2, stage) for stage in later]
    assert rounds == [1, 2]


# The private part of the model owner


PRIVATE = ("head.*",)


def clients_model(context: Context) -> ArrayRecord:
    return make_model(50)


def test_private_part_never_leaves_and_comes_back_whole(tmp_path: Path) -> None:
    play = make_play(tmp_path, initial_model=clients_model, options={"private": PRIVATE}, weights=24)
    models: list[ArrayRecord] = []
    result = play.strategy.start(play.grid, make_model(), 2, evaluate_fn=lambda n, arrays: models.append(arrays))
    assert [list(model) for model in models] == [list(SHAPES)] * 3
    assert list(result.arrays) == list(SHAPES)
    head = arrays_of(make_model())["head.weight"]
    for model in (*models, result.arrays):
        assert np.array_equal(model["head.weight"].numpy(), head)
    secrets = [head, *(t.target["head.weight"].numpy() for t in play.trainers.values())]
    heads = [c.state.array_records["omnilytics.private"]["head.weight"].numpy() for c in play.grid.contexts.values()]
    for node, message in (*play.grid.requests, *play.grid.replies):
        for record in message.content.array_records.values():
            assert "head.weight" not in record, node
        for secret in (*secrets, *heads):
            assert not is_within(secret, message), node


def test_refit_changes_the_private_part_only(tmp_path: Path) -> None:
    seen: list[tuple[int, ArrayRecord]] = []

    def refit(number: int, whole: ArrayRecord) -> ArrayRecord:
        seen.append((number, whole))
        return shifted(whole, 1.0)

    options = {"private": PRIVATE, "refit": refit}
    play = make_play(tmp_path, initial_model=clients_model, options=options, weights=24)
    models: list[ArrayRecord] = []
    result = play.strategy.start(play.grid, make_model(), 2, evaluate_fn=lambda n, arrays: models.append(arrays))
    assert [number for number, _ in seen] == [1, 2]
    assert all(list(whole) == list(SHAPES) for _, whole in seen)
    heads = [model["head.weight"].numpy() for model in models]
    assert np.array_equal(heads[1], heads[0] + np.float32(1))
    assert np.array_equal(heads[2], heads[1] + np.float32(1))
    for before, after, report in zip(models, models[1:], play.reports, strict=False):
        accepted = tuple(owner for position in report.accepted for owner in report.roster[position])
        expected = play.expected(before, accepted)
        public = [name for name in SHAPES if name.startswith("body")]
        assert_close(ArrayRecord({name: after[name] for name in public}), {name: expected[name] for name in public})
    assert np.array_equal(result.arrays["head.weight"].numpy(), heads[2])
    assert [play.events(n) for n in range(2)] == [["anchor", "open", "settle"], ["open", "settle"]]


@pytest.mark.parametrize(("patterns", "reason"), [(("tail.*",), "matches none"), (("*",), "every parameter is private")])
def test_private_patterns_that_cannot_be_are_refused(play: MarketPlay, patterns: tuple[str, ...], reason: str) -> None:
    strategy = Omnilytics(FedAvg(), ledger=play.scene.ledger(), private=patterns)
    with pytest.raises(TermsError, match=reason):
        strategy.start(play.grid, make_model(), 1)
