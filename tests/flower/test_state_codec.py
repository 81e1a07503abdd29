"""State of inner strategies: put back when a step is taken again, and carried over to another process."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, Strategy

from omnilytics_flwr.errors import CannotCompose, Malformed
from omnilytics_flwr.flower.inner_strategy import InnerStrategy
from omnilytics_flwr.flower.state_codec import Arrays, decode_value, encode_value
from omnilytics_flwr.model_owner.run_directory import Record, RunDirectory
from tests.flower.clients import make_model
from tests.flower.markets import exact_history, plain_history
from tests.flower.test_compose import MAKERS


def carried(facts: dict[str, Any], arrays: Arrays, folder: Path) -> Record:
    """Facts and arrays as they come out of a file."""
    directory = RunDirectory(folder)
    directory.write("state", Record(facts, arrays))
    found = directory.read("state")
    assert found is not None
    return found


def state_in_file(inner: InnerStrategy, folder: Path) -> Record:
    arrays: Arrays = {}
    return carried(inner.encode_state(arrays), arrays, folder)


def same(one: object, other: object) -> bool:
    """Whether two values are the same to the last bit."""
    first: Arrays = {}
    second: Arrays = {}
    left, right = encode_value(one, first), encode_value(other, second)
    return left == right and [a.tobytes() for a in first.values()] == [a.tobytes() for a in second.values()]


def holding(value: object) -> tuple[Strategy, InnerStrategy]:
    """A strategy with an attribute of its own."""
    strategy = FedAvg()
    strategy.held = value  # type: ignore[attr-defined]
    return strategy, InnerStrategy(strategy)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_state_after_rounds_is_carried_over_to_the_last_bit(tmp_path: Path, make: Callable[[], Strategy]) -> None:
    strategy, later = make(), make()
    inner = InnerStrategy(strategy)
    plain_history(strategy, num_owners=3, rounds=2, dtype="float32")

    record = state_in_file(inner, tmp_path)
    InnerStrategy(later).decode_state(record.facts, record.arrays)

    for key, value in vars(strategy).items():
        if not callable(value):
            assert same(vars(later)[key], value), key


def test_only_what_has_changed_is_carried_over(tmp_path: Path) -> None:
    strategy, later = FedAdam(eta=0.5), FedAdam(eta=0.25)
    inner = InnerStrategy(strategy)
    plain_history(strategy, num_owners=3, rounds=1, dtype="float32")

    record = state_in_file(inner, tmp_path)
    InnerStrategy(later).decode_state(record.facts, record.arrays)

    assert set(record.facts) == {"current_arrays", "m_t", "v_t"}
    assert later.eta == 0.25, "a new process may be given another learning rate"


VALUES = [
    *(None, True, 3, 2.5, math.inf, "text", b"\x00\xff", {}, [], ()),
    [1, "a", None, [2.5]],
    (1, (2, [3])),
    {"a": 1, 2: [b"x"], "c": {"d": None}},
    np.float32(1.5),
    np.arange(6, dtype=np.float16).reshape(2, 3),
    {"m": np.ones((2, 2)), "n": [np.zeros(3), np.int64(4)]},
    make_model(),
    ArrayRecord({name: Array(np.asarray(1.0)) for name in ("z", "a.npy", "m/n", "facts")}),
    MetricRecord({"loss": 0.5, "steps": [1, 2]}),
    Path("checkpoints") / "best",
    {"folder": Path("checkpoints"), "best": 0.5},
    ConfigRecord({"lr": 0.5, "name": "x", "raw": b"y", "flags": [True, False]}),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_value_comes_back_as_it_was(tmp_path: Path, value: object) -> None:
    arrays: Arrays = {}
    record = carried({"value": encode_value(value, arrays)}, arrays, tmp_path)
    json.dumps(record.facts)

    found = decode_value(record.facts["value"], record.arrays)

    assert type(found) is type(value)
    assert same(found, value)


class Counter:
    """Something that nobody can save."""


class Model:
    """What can be called and learns, as a model of torch does."""

    def __init__(self) -> None:
        self.weights = np.zeros(2)

    def __call__(self) -> None:
        self.weights += 1


@pytest.mark.parametrize(
    "value",
    [
        *(Counter(), {1, 2}, np.asarray([object()]), [Counter()], {"a": {3}}, np.random.default_rng(1)),
        defaultdict(int, a=1),
        *(Model(), Model().__call__, partial(print, Model()), partial(Model())),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_cannot_be_saved_is_refused_by_name(value: object) -> None:
    with pytest.raises(CannotCompose, match=r"FedAvg\.held cannot be saved: .*; keep it in such, or run without a run directory"):
        holding(value)[1].check_state()


@pytest.mark.parametrize("value", [lambda: 1, Counter, Path("somewhere"), print, partial(print, 1), FedAvg().summary])
def test_code_and_paths_are_no_state(value: object) -> None:
    _, inner = holding(value)
    inner.check_state()
    assert inner.encode_state({}) == {}


def test_code_that_changes_is_refused_when_it_would_be_saved() -> None:
    strategy, inner = holding({"best": 0.0, "rule": max})
    vars(strategy)["held"]["best"] = 0.5
    with pytest.raises(CannotCompose, match=r"FedAvg\.held has changed, and holds a function or class, which cannot be saved"):
        inner.encode_state({})


def test_put_back_undoes_whatever_a_round_did() -> None:
    strategy = FedAdam()
    strategy.counts = [1, {"a": np.zeros(2)}]  # type: ignore[attr-defined]
    inner = InnerStrategy(strategy)
    plain_history(strategy, num_owners=3, rounds=1, dtype="float32")
    before = inner.attributes()
    frozen = {name: value for name, value in inner.attributes().items() if not callable(value)}
    plain_history(strategy, num_owners=3, rounds=1, dtype="float32")
    strategy.counts[0] = 7  # type: ignore[attr-defined]
    strategy.counts[1]["a"][0] = 1.0  # type: ignore[attr-defined]
    strategy.m_t["body.bias"][0] = 99.0  # type: ignore[index]
    strategy.more = 1  # type: ignore[attr-defined]
    for _ in range(2):
        inner.put_back(before)
        assert not hasattr(strategy, "more")
        assert all(same(vars(strategy)[name], value) for name, value in frozen.items())
        strategy.counts[1]["a"][1] = 5.0  # type: ignore[attr-defined]


def test_strategy_that_is_put_back_learns_the_same_again() -> None:
    strategy = FedAvgM(server_learning_rate=0.7, server_momentum=0.9)
    inner = InnerStrategy(strategy)
    before = inner.attributes()
    first, _ = exact_history(strategy, num_owners=3, rounds=2, dtype="float32")
    inner.put_back(before)
    second, _ = exact_history(strategy, num_owners=3, rounds=2, dtype="float32")
    assert [[array.data for array in model.values()] for model in first] == [[array.data for array in model.values()] for model in second]


@pytest.mark.parametrize("node", [{"arrays": [["a", "missing"]]}, {"unknown": 1}, {"dict": 3}, {"bytes": "zz"}, {"a": 1, "b": 2}])
def test_what_is_no_encoding_is_malformed(node: object) -> None:
    with pytest.raises(Malformed):
        decode_value(node, {})
