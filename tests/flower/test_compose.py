"""Which strategies a market composes with: each agrees with its plain run, and every other is refused with a reason."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp import Grid
from flwr.serverapp import strategy as flwr_strategy
from flwr.serverapp.strategy import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedProx,
    FedYogi,
    Krum,
    Result,
    Strategy,
)

from omnilytics_flwr.errors import CannotCompose
from omnilytics_flwr.flower.compose import COMPOSES, NOT_STRATEGIES, REFUSED, check_composes
from omnilytics_flwr.flower.strategy import Omnilytics
from tests.flower.clients import make_model
from tests.flower.markets import exact_grid, exact_history, plain_history
from tests.support.builders import make_scene

MAKERS: dict[str, Callable[[], Strategy]] = {
    "FedAvg": FedAvg,
    "FedAvgM": lambda: FedAvgM(server_learning_rate=0.7, server_momentum=0.9),
    "FedAdam": lambda: FedAdam(eta=0.01),
    "FedYogi": lambda: FedYogi(eta=0.01),
    "FedAdagrad": lambda: FedAdagrad(eta=0.01),
    "FedProx": lambda: FedProx(proximal_mu=0.1),
}
_NOISE: dict[str, object] = {"strategy": FedAvg(), "noise_multiplier": 1.0, "num_sampled_clients": 100}
OWN_ARGUMENTS: dict[str, dict[str, object]] = {
    "DifferentialPrivacyClientSideAdaptiveClipping": _NOISE,
    "DifferentialPrivacyClientSideFixedClipping": {**_NOISE, "clipping_norm": 1.0},
    "DifferentialPrivacyServerSideAdaptiveClipping": _NOISE,
    "DifferentialPrivacyServerSideFixedClipping": {**_NOISE, "clipping_norm": 1.0},
    "QFedAvg": {"client_learning_rate": 0.1},
}


def test_every_exported_name_is_decided_exactly_once_and_every_composing_strategy_is_tried_here() -> None:
    composes = {strategy.__name__ for strategy in COMPOSES}
    decided = [*composes, *REFUSED, *NOT_STRATEGIES]
    assert len(decided) == len(set(decided))
    assert set(decided) == set(flwr_strategy.__all__)
    assert set(MAKERS) == composes


@pytest.mark.parametrize("name", MAKERS)
def test_composing_strategy_unquantised_agrees_with_its_plain_run(name: str) -> None:
    plain, plain_result = plain_history(MAKERS[name](), num_owners=6, rounds=3, dtype="float64")
    ours, our_result = exact_history(MAKERS[name](), num_owners=6, rounds=3, dtype="float64")
    assert len(plain) == len(ours) == 4
    for before, after in itertools.pairwise(plain):
        assert any(np.abs(before[n].numpy() - after[n].numpy()).max() > 1e-3 for n in before), "the model must move"
    for expected, actual in zip(plain, ours, strict=True):
        assert list(actual) == list(expected)
        for key in expected:
            assert actual[key].dtype == expected[key].dtype
            np.testing.assert_allclose(actual[key].numpy(), expected[key].numpy(), rtol=0, atol=1e-9)
    assert list(our_result.arrays) == list(plain_result.arrays)
    for kind in ("train_metrics_clientapp", "evaluate_metrics_clientapp", "evaluate_metrics_serverapp"):
        expected_metrics, actual_metrics = getattr(plain_result, kind), getattr(our_result, kind)
        assert list(actual_metrics) == list(expected_metrics), kind
        for number, record in expected_metrics.items():
            assert dict(actual_metrics[number]) == pytest.approx(dict(record), abs=1e-9), (kind, number)


@pytest.mark.parametrize("name", MAKERS)
def test_composing_strategy_keeps_float32(name: str) -> None:
    plain, _ = plain_history(MAKERS[name](), num_owners=6, rounds=1, dtype="float32")
    ours, _ = exact_history(MAKERS[name](), num_owners=6, rounds=1, dtype="float32")
    for key in plain[1]:
        np.testing.assert_allclose(ours[1][key].numpy(), plain[1][key].numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_strategy_names_reason_and_remedy(name: str) -> None:
    strategy = getattr(flwr_strategy, name)(**OWN_ARGUMENTS.get(name, {}))
    with pytest.raises(CannotCompose, match=f"^{name} cannot run in a market: ") as refusal:
        Omnilytics(strategy, ledger=make_scene().ledger())
    assert all(part in str(refusal.value) for part in (REFUSED[name], *MAKERS))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Krum", "multi-Krum already runs inside the market"),
        ("FedMedian", "multi-Krum already runs inside the market"),
        ("QFedAvg", "every data owner's own update"),
        ("DifferentialPrivacyClientSideFixedClipping", "LocalDpMod"),
    ],
)
def test_refused_strategy_gives_its_own_reason(name: str, reason: str) -> None:
    assert reason in REFUSED[name]


class OwnSampling(FedAdam):
    """A user's strategy that only asks other nodes."""

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        config["lr"] = 0.1 / server_round
        return list(super().configure_train(server_round, arrays, config, grid))[:3]


class OwnAggregation(FedAvg):
    """A user's strategy that only counts what was sent, as Flower's examples for language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_bytes = 0

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[ArrayRecord | None, MetricRecord | None]:
        replies = list(replies)
        self.sent_bytes += sum(model_bytes(record) for reply in replies for record in reply.content.array_records.values())
        return super().aggregate_train(server_round, replies)


def model_bytes(arrays: ArrayRecord) -> int:
    return sum(array.numpy().nbytes for array in arrays.values())


class OwnStart(FedAvg):
    """A user's strategy that keeps checkpoints in a loop of its own, as some of Flower's examples do."""

    def start(self, *arguments: object, **options: object) -> Result:  # type: ignore[override]
        raise AssertionError("a market never calls it")


class Krum2(Krum):
    """A user's strategy that inherits an aggregation that does not compose."""


def test_subclass_with_its_own_sampling_composes() -> None:
    check_composes(type("GrandChild", (OwnSampling,), {})(eta=0.1))


def with_its_own_on_the_instance() -> FedAvg:
    strategy = FedAvg()
    strategy.aggregate_train = lambda server_round, replies: (None, None)  # type: ignore[method-assign]
    return strategy


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (OwnAggregation, "its aggregate_train is its own"),
        (type("Bulyan", (OwnAggregation,), {}), "its aggregate_train is its own"),
        (with_its_own_on_the_instance, "its aggregate_train is its own"),
        (Krum2, "multi-Krum already runs inside the market"),
        (OwnStart, r"its start is its own, which a market does not call\. .* give Omnilytics on_model="),
        (OwnAggregation, r"its aggregate_train is its own, .* give Omnilytics on_model="),
        (LegacyFedAvg, "no strategy of flwr.serverapp.strategy; .* port the app to the Message API first"),
    ],
)
def test_user_strategy_that_does_not_compose_is_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(CannotCompose, match=reason):
        check_composes(make())  # type: ignore[arg-type]


def test_what_such_a_strategy_counts_an_observer_counts_in_a_market() -> None:
    plain, counted = OwnAggregation(), []
    plain_history(plain, num_owners=3, rounds=2, dtype="float32")
    grid, strategy = exact_grid(FedAvg(), num_owners=3, on_model=lambda number, model, metrics: counted.append(3 * model_bytes(model)))
    strategy.start(grid, make_model(0, "float32"), 2)
    assert sum(counted) == plain.sent_bytes > 0


def largest(contents: list[RecordDict], weight: str) -> MetricRecord:
    """A user's way to aggregate metrics that is not the same again when applied to its own result."""
    return MetricRecord({"most-loss": max(float(content["metrics"]["loss"]) for content in contents), "owners": len(contents)})  # type: ignore[arg-type]


def test_users_own_metric_aggregation_sees_all_replies_once() -> None:
    _, plain = plain_history(FedAvg(train_metrics_aggr_fn=largest), num_owners=4, rounds=2, dtype="float64")
    _, ours = exact_history(FedAvg(train_metrics_aggr_fn=largest), num_owners=4, rounds=2, dtype="float64")
    assert {n: dict(r) for n, r in ours.train_metrics_clientapp.items()} == {n: dict(r) for n, r in plain.train_metrics_clientapp.items()}
    assert plain.train_metrics_clientapp[1]["owners"] == 4
