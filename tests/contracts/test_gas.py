"""Gas is exact: what is committed is what is measured, to the last unit."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from contracts import gas
from omnilytics_flwr.market.dispute import ANSWER_GAS, BLOBS_PER_TRANSACTION, POLYNOMIAL_GAS

MOST_GAS_OF_A_ROUND = 1_000_000
MOST_GAS_OF_A_DISPUTE = 200_000


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """What a new measurement gives."""
    figures: dict[str, Any] = gas.measure()
    return figures


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """What the file says."""
    figures: dict[str, Any] = json.loads(gas.GAS_FILE.read_text(encoding="utf-8"))
    return figures


def test_gas_file_is_what_is_measured(measured: dict[str, Any], committed: dict[str, Any]) -> None:
    assert gas.differences(committed, measured) == []
    assert gas.GAS_FILE.read_text(encoding="utf-8") == gas.text(measured)


@pytest.mark.parametrize("which", ["first", "later"])
def test_round_of_twenty_data_owners_costs_at_most_a_million_gas(measured: dict[str, Any], which: str) -> None:
    figures, round_ = measured["gas"], measured["gas_of_a_round"]

    assert round_[which] == figures[f"open {which}"] + figures[f"settle {which}"] <= MOST_GAS_OF_A_ROUND
    assert (measured["market"]["owners"], measured["market"]["weights"]) == (20, 20_314)
    assert round_["data owners"] == 0


def test_deposit_covers_the_gas_of_an_answer_twice(measured: dict[str, Any]) -> None:
    polynomials = measured["market"]["polynomials"]

    assert polynomials <= BLOBS_PER_TRANSACTION, "in one transaction"
    assert measured["gas"][f"answer {polynomials} polynomials"] <= ANSWER_GAS + POLYNOMIAL_GAS * polynomials


def test_dispute_costs_a_settlement_little(measured: dict[str, Any]) -> None:
    """What it takes to slash, to compensate and to burn, less the proof of the group that is void."""
    assert abs(measured["gas"]["settle void"] - measured["gas"]["settle later"]) < MOST_GAS_OF_A_DISPUTE


@pytest.mark.parametrize("change", [1, -1])
def test_check_finds_a_figure_that_is_off_by_one(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: int
) -> None:
    path, other = tmp_path / "gas.json", copy.deepcopy(measured)
    other["gas"]["settle later"] += change
    monkeypatch.setattr(gas, "measure", lambda: measured)
    path.write_text(gas.text(other), encoding="utf-8")

    assert gas.main(["--check"], path) == 1
    assert "/gas/settle later" in capsys.readouterr().err
    assert gas.main([], path) == 0
    assert gas.main(["--check"], path) == 0


def test_differences_names_what_is_missing_or_new() -> None:
    found = gas.differences({"gas": {"a": 1, "b": 2}}, {"gas": {"a": 1, "c": 2}})

    assert [line.split(" is ")[0] for line in found] == ["/gas/b", "/gas/c"]
