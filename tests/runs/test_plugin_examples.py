"""Flower's own examples in a market: the record of a run, and, where a checkout of Flower is named, a run."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runs.plugin.compare import POINT, broken_promises, compare
from runs.plugin.examples import EXAMPLES, HERE

CHECKOUT_VARIABLE = "FLOWER_CHECKOUT"
NEEDED = {"pytorch": ("flwr_datasets", "torchvision"), "sklearn": ("flwr_datasets", "sklearn"), "jax": ("flwr_datasets", "flax", "optax")}


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    record: dict[str, Any] = json.loads((HERE / "reference" / "result.json").read_text(encoding="utf-8"))
    return record


def test_record_has_every_example_as_it_is_patched_now(reference: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in reference["examples"]}
    assert set(rows) == set(EXAMPLES)
    for name, row in rows.items():
        example = EXAMPLES[name]
        assert (row["weights"], row["rounds"], row["run_config"]) == (example.weights, example.rounds, dict(example.run_config))


def test_record_keeps_what_is_promised(reference: dict[str, Any]) -> None:
    assert broken_promises(reference) == []
    for row in reference["examples"]:
        assert min(row["accuracy"].values()) > 0.9
        assert all(0 < paid <= row["owners"] for rounds in row["paid"].values() for paid in rounds)


def test_broken_promise_is_a_sentence(reference: dict[str, Any]) -> None:
    row = reference["examples"][0]
    worse = row | {
        "accuracy": {"plain": 0.95, "exact": 0.95 - 2 * POINT, "projected": 0.99},
        "paid": {"exact": [12, 12], "projected": [12, 0]},
    }
    assert broken_promises({"examples": [worse]}) == [
        f"{row['name']}, exact: 93.0% in the market, 95.0% plain; expected at most 1 point less",
        f"{row['name']}, projected: data owners paid by round are [12, 0]; expected some in each",
    ]


@pytest.mark.timeout(3600)
@pytest.mark.skipif(CHECKOUT_VARIABLE not in os.environ, reason=f"{CHECKOUT_VARIABLE} names no checkout of Flower")
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_of_a_checkout_learns_the_same_in_a_market(name: str) -> None:
    missing = [package for package in NEEDED[name] if find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    result = compare([EXAMPLES[name]], Path(os.environ[CHECKOUT_VARIABLE]), print)
    assert broken_promises(result) == []
