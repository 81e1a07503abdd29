"""The inner strategy is asked one round early, and must not notice."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from tests.flower.clients import FakeGrid, make_model
from tests.flower.markets import exact_grid, plain_grid


class Decaying(FedAvg):
    """The example of Flower's own documentation: a learning rate that is lowered in the run's configuration."""

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        config.pop("first", None)
        config["lr"] = float(config.get("lr", 1.0)) * (0.5 if server_round % 2 == 0 else 1.0)  # type: ignore[arg-type]
        return super().configure_train(server_round, arrays, config, grid)

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        config["seen"] = int(config.get("seen", 0)) + 1  # type: ignore[call-overload]
        return super().configure_evaluate(server_round, arrays, config, grid)


def configs(grid: FakeGrid, message_type: str) -> list[dict[str, object]]:
    """Configurations that a client got, in order."""
    first = min(grid.apps)
    contents = [m.content for node, m in grid.requests if node == first and m.metadata.message_type == message_type]
    records = [dict(content.config_records["config"].items()) for content in contents if "config" in content]
    return records


@pytest.mark.parametrize("message_type", [MessageType.TRAIN, MessageType.EVALUATE])
def test_configuration_that_changes_from_round_to_round_is_as_in_the_plain_run(message_type: str) -> None:
    sent = []
    for make in (plain_grid, exact_grid):
        grid, strategy = make(Decaying())
        train, evaluate = ConfigRecord({"lr": 0.1, "first": True}), ConfigRecord({"batch": 8})
        strategy.start(grid, make_model(), 5, train_config=train, evaluate_config=evaluate)
        sent.append((configs(grid, message_type), dict(train.items()), dict(evaluate.items())))
    plain, ours = sent
    assert len(plain[0]) == 5
    assert len({str(config) for config in plain[0]}) == 5
    assert ours == plain
