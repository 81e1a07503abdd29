"""The promises of the deployment's run, by its reference record."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from runs.deployment.result import broken_promises

REFERENCE = Path(__file__).parents[2] / "runs" / "deployment" / "reference" / "result.json"


@pytest.fixture
def reference() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(REFERENCE.read_text())
    return result


def test_reference_run_held_every_promise(reference: dict[str, Any]) -> None:
    assert broken_promises(reference) == []


def test_round_without_a_group_is_compared_by_the_groups_that_were_there(reference: dict[str, Any]) -> None:
    """Group 1 sits the first round out: of the simulation's distances, those from its place 2 do not count."""
    first, full = reference["rounds"][1], reference["rounds"][0]["roster"]
    pairs = list(combinations(range(len(full) + 1), 2))
    simulated = dict(zip(pairs, reference["simulated_distances"][1], strict=True))
    first["roster"] = [group for group in full if group != full[1]]
    first["distances"] = [distance for pair, distance in simulated.items() if 2 not in pair]
    assert broken_promises(reference) == []

    first["distances"][0] = "1"
    assert broken_promises(reference) == ["the simulation settled the same distances to the last digit"]
