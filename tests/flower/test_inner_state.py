"""State of inner strategies: put back after a step that must be taken again, and carried over to another process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedProx, FedYogi, Strategy

from omnilytics_flwr.errors import CannotCompose, Malformed
from omnilytics_flwr.flower.inner_strategy import Arrays, InnerState, decode_arrays, encode_arrays
from omnilytics_flwr.model_owner.run_directory import Record, RunDirectory
from tests.flower.exact import exact_history, plain_history
from tests.flower.play import make_model

MAKERS: dict[str, Callable[[], Strategy]] = {
    "FedAvg": FedAvg,
    "FedAvgM": lambda: FedAvgM(server_learning_rate=0.7, server_momentum=0.9),
    "FedAdam": FedAdam,
    "FedYogi": FedYogi,
    "FedAdagrad": FedAdagrad,
    "FedProx": lambda: FedProx(proximal_mu=0.1),
}


def carried(state: dict[str, Any], arrays: Arrays, folder: Path) -> Record:
    """State and arrays as they come out of a file."""
    directory = RunDirectory(folder)
    directory.write("state", Record(state, arrays))
    found = directory.read("state")
    assert found is not None
    return found


def same(one: object, other: object) -> bool:
    """Whether two values are the same to the last bit."""
    first: Arrays = {}
    second: Arrays = {}
    left, right = encode_value(one, first), encode_value(other, second)
    return left == right and [a.tobytes() for a in first.values()] == [a.tobytes() for a in second.values()]


def encode_value(value: object, arrays: Arrays) -> object:
    holder = FedAvg()
    state = InnerState(holder)
    holder.held = value  # type: ignore[attr-defined]
    return state.encode(arrays)["held"]


@pytest.mark.parametrize("name", MAKERS)
def test_state_after_rounds_is_carried_over_to_the_last_bit(tmp_path: Path, name: str) -> None:
    inner = MAKERS[name]()
    state = InnerState(inner)
    plain_history(inner, num_owners=3, rounds=2, dtype="float32")
    arrays: Arrays = {}
    record = carried(state.encode(arrays), arrays, tmp_path)
    later = MAKERS[name]()
    InnerState(later).decode(record.facts, record.arrays)
    for key, value in vars(inner).items():
        if not callable(value):
            assert same(vars(later)[key], value), key


def test_only_what_has_changed_is_carried_over(tmp_path: Path) -> None:
    inner = FedAdam(eta=0.5)
    state = InnerState(inner)
    plain_history(inner, num_owners=3, rounds=1, dtype="float32")
    arrays: Arrays = {}
    record = carried(state.encode(arrays), arrays, tmp_path)
    assert set(record.facts) == {"current_arrays", "m_t", "v_t"}
    later = FedAdam(eta=0.25)
    InnerState(later).decode(record.facts, record.arrays)
    assert later.eta == 0.25, "a new process may be given another learning rate"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2.5,
        math.inf,
        "text",
        b"\x00\xff",
        [1, "a", None, [2.5]],
        (1, (2, [3])),
        {"a": 1, 2: [b"x"], "c": {"d": None}},
        np.float32(1.5),
        np.arange(6, dtype=np.float16).reshape(2, 3),
        {"m": np.ones((2, 2)), "n": [np.zeros(3), np.int64(4)]},
        make_model(),
        ArrayRecord({"a.npy": Array(np.asarray(1.0))}),
        MetricRecord({"loss": 0.5, "steps": [1, 2]}),
        ConfigRecord({"lr": 0.5, "name": "x", "raw": b"y", "flags": [True, False]}),
        {},
        [],
        (),
    ],
    ids=repr,
)
def test_value_comes_back_as_it_was(tmp_path: Path, value: object) -> None:
    inner = FedAvg()
    state = InnerState(inner)
    inner.held = value  # type: ignore[attr-defined]
    arrays: Arrays = {}
    record = carried(state.encode(arrays), arrays, tmp_path)
    json.dumps(record.facts)
    later = FedAvg()
    InnerState(later).decode(record.facts, record.arrays)
    assert type(later.held) is type(value)  # type: ignore[attr-defined]
    assert same(later.held, value)  # type: ignore[attr-defined]


class Counter:
    """Something that nobody can save."""

    def __init__(self) -> None:
        self.count = 0


@pytest.mark.parametrize(
    "value", [Counter(), {1, 2}, np.asarray([object()]), [Counter()], {"a": {3}}, np.random.default_rng(1)], ids=lambda v: type(v).__name__
)
def test_what_cannot_be_saved_is_refused_by_name(value: object) -> None:
    inner = FedAvg()
    inner.held = value  # type: ignore[attr-defined]
    with pytest.raises(CannotCompose, match=r"FedAvg\.held cannot be saved: .*; keep it in such, or run without a run directory"):
        InnerState(inner).check()


@pytest.mark.parametrize("value", [lambda: 1, Counter, Path("somewhere"), print])
def test_code_and_paths_are_no_state(value: object) -> None:
    inner = FedAvg()
    inner.held = value  # type: ignore[attr-defined]
    state = InnerState(inner)
    state.check()
    assert state.encode({}) == {}


def test_put_back_undoes_whatever_a_round_did() -> None:
    inner = FedAdam()
    inner.counts = [1, {"a": np.zeros(2)}]  # type: ignore[attr-defined]
    state = InnerState(inner)
    plain_history(inner, num_owners=3, rounds=1, dtype="float32")
    before = state.copied()
    frozen = {name: value for name, value in state.copied().items() if not callable(value)}
    plain_history(inner, num_owners=3, rounds=1, dtype="float32")
    inner.counts[0] = 7  # type: ignore[attr-defined]
    inner.counts[1]["a"][0] = 1.0  # type: ignore[attr-defined]
    inner.m_t["body.bias"][0] = 99.0  # type: ignore[index]
    inner.more = 1  # type: ignore[attr-defined]
    for _ in range(2):
        state.put_back(before)
        assert not hasattr(inner, "more")
        assert all(same(vars(inner)[name], value) for name, value in frozen.items())
        inner.counts[1]["a"][1] = 5.0  # type: ignore[attr-defined]


def test_strategy_that_is_put_back_learns_the_same_again() -> None:
    inner = FedAvgM(server_learning_rate=0.7, server_momentum=0.9)
    state = InnerState(inner)
    before = state.copied()
    first, _ = exact_history(inner, num_owners=3, rounds=2, dtype="float32")
    state.put_back(before)
    second, _ = exact_history(inner, num_owners=3, rounds=2, dtype="float32")
    assert [[array.data for array in model.values()] for model in first] == [[array.data for array in model.values()] for model in second]


@pytest.mark.parametrize("node", [{"arrays": [["a", "missing"]]}, {"unknown": 1}, {"dict": 3}, {"bytes": "zz"}, {"a": 1, "b": 2}])
def test_what_is_no_encoding_is_malformed(node: object) -> None:
    with pytest.raises(Malformed):
        InnerState(FedAvg()).decode({"held": node}, {})
    with pytest.raises(Malformed):
        decode_arrays(node, {})


def test_model_comes_back_in_its_order(tmp_path: Path) -> None:
    model = ArrayRecord({name: Array(np.asarray(number, dtype=np.float32)) for number, name in enumerate(["z", "a", "m/n", "facts"])})
    arrays: Arrays = {}
    record = carried({"model": encode_arrays(model, arrays)}, arrays, tmp_path)
    found = decode_arrays(record.facts["model"], record.arrays)
    assert list(found) == list(model)
    assert [array.data for array in found.values()] == [array.data for array in model.values()]
    with pytest.raises(Malformed, match="saved as int"):
        decode_arrays(3, {})
