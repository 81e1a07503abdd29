"""Apps that know nothing of a market join one by the patches, and learn what they learn without."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr import LocalMarket
from omnilytics_flwr.errors import ProtocolError
from omnilytics_flwr.trial.app_model import initial_arrays, table
from tests.flower.clients import FakeGrid, as_server
from tests.runs.plugin_app import config_of, copy_app, loaded, run_in_process

OWNERS = 15
ROUNDS = 2
POINT = 0.01

WEIGHTS = {"pytorch": 146, "sklearn": 15}
METRICS = {"pytorch": ("eval_acc", "num-examples", "train_loss"), "sklearn": ("accuracy", "num-examples", "train_logloss")}


def accuracy_of_pytorch(app: Path) -> float:
    import torch

    with loaded(app):
        task = sys.modules["pytorchexample.task"]
        model = task.Net()
        model.load_state_dict(torch.load("final_model.pt"))
        return float(task.test(model, task.load_central_data())[1])


def accuracy_of_sklearn(app: Path) -> float:
    import joblib
    from sklearn.datasets import load_iris

    return float(joblib.load("logreg_model.pkl").score(*load_iris(return_X_y=True)))


ACCURACY: dict[str, Callable[[Path], float]] = {"pytorch": accuracy_of_pytorch, "sklearn": accuracy_of_sklearn}


@pytest.fixture(autouse=True)
def task_identity() -> Iterator[None]:
    with as_server():
        yield


def market_for(name: str) -> LocalMarket:
    model = {"weights": np.zeros(WEIGHTS[name])}
    return LocalMarket.for_model(model, num_owners=OWNERS, group_size=3, clip=4.0, longest_mean=50.0, rounds=ROUNDS, metrics=METRICS[name])


@pytest.fixture(params=["pytorch", "sklearn"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def market(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalMarket]:
    with market_for(name) as opened:
        for variable, value in opened.environment.items():
            monkeypatch.setenv(variable, value)
        yield opened


def run(app: Path, **overrides: float) -> FakeGrid:
    config = config_of(app, {"num-server-rounds": ROUNDS, **overrides})
    return run_in_process(app, OWNERS, server_config=config, client_config=config)


def test_patched_app_learns_what_it_learns_without(name: str, market: LocalMarket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = copy_app(name, tmp_path / "plain", patched=False)
    run(plain)
    expected = ACCURACY[name](plain)
    patched = copy_app(name, tmp_path / "patched")
    grid = run(patched)
    assert ACCURACY[name](patched) == pytest.approx(expected, abs=POINT)
    assert expected > 0.9, "a model that has learnt nothing would prove nothing"
    paid = [market.ledger.paid_seats(number).bit_count() for number in range(1, ROUNDS + 1)]
    assert set(paid) <= {12, 15}, "at most one group of a round lies far out"
    told = {metric for _, reply in grid.replies for record in reply.content.metric_records.values() for metric in record}
    assert told == set(METRICS[name])


def test_environment_of_a_market_that_is_not_set_up_is_refused() -> None:
    with pytest.raises(ProtocolError, match="the market is not set up"):
        market_for("sklearn").environment  # noqa: B018


@pytest.mark.parametrize("patched", [False, True])
def test_terms_of_an_app_are_found_from_its_own_server(name: str, patched: bool, tmp_path: Path) -> None:
    arrays = initial_arrays(copy_app(name, tmp_path / "app", patched=patched))
    shown, weights = table(arrays)
    assert weights == WEIGHTS[name]
    assert ("norm.num_batches_tracked  int64" in shown) == (name == "pytorch")
    assert all(np.isfinite(array.numpy()).all() for array in arrays.values())
