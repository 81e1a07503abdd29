"""The promises of the deployment's run, by its reference record."""

from __future__ import annotations

import json
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


def test_distances_are_compared_where_all_groups_were_there(reference: dict[str, Any]) -> None:
    first, second, _ = reference["rounds"]
    second["roster"], second["distances"] = second["roster"][1:], []
    assert broken_promises(reference) == []

    first["distances"][0] = "1"
    assert broken_promises(reference) == ["the simulation settled the same distances to the last digit where all groups were there"]


def test_market_that_no_audit_confirms_is_named(reference: dict[str, Any]) -> None:
    reference["audit"]["unseen"] = ["blobs of round 2"]
    assert broken_promises(reference) == ["an audit from the chain alone confirms every round"]
