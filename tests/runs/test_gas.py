"""The gas of rounds of every size: exact, and within what the protocol promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runs.gas.__main__ import HERE, REFERENCE, cases, differences, row_of
from runs.gas.rounds import Case

RECIPE = (HERE / "config.toml").read_text(encoding="utf-8")
MOST_BYTES, MOST_BYTES_OF_A_HUNDRED_OWNERS = 131_072, 60_000
MOST_GAS_OF_AN_OPENING = 150_000
MOST_GAS_OF_A_PROJECTED_ROUND = {15: 700_000, 20: 700_000, 50: 1_200_000, 100: 2_200_000, 250: 4_000_000}
FIRST_PROTOCOL = {
    (15, 8_192): 632_863,
    (20, 20_314): 872_681,
    (20, 98_304): 1_669_526,
    (20, 368_640): 4_556_463,
    (50, 98_304): 3_429_649,
    (100, 49_152): 4_424_393,
    (250, 24_576): 6_000_063,
}
"""Gas of a round in the first protocol, which knew exact verification alone, by owners and weights."""


@pytest.fixture(scope="module")
def reference() -> list[dict[str, Any]]:
    """What the reference says."""
    rounds: list[dict[str, Any]] = json.loads(REFERENCE.read_text(encoding="utf-8"))["rounds"]
    return rounds


def of(reference: list[dict[str, Any]], verification: str) -> Iterator[dict[str, Any]]:
    return (row for row in reference if row["verification"] == verification)


@pytest.mark.parametrize("case", [Case("exact", 15, 5, 15), Case("projected", 15, 5, 53_000_000)], ids=["exact", "projected"])
def test_round_costs_what_the_reference_says(reference: list[dict[str, Any]], case: Case) -> None:
    assert differences(reference, [row_of(case)]) == []


@pytest.mark.slow
def test_every_round_costs_what_the_reference_says(reference: list[dict[str, Any]]) -> None:
    assert [differences(reference, [row_of(case)]) for case in cases(RECIPE)] == [[]] * len(reference)


def test_reference_has_the_rounds_of_the_recipe(reference: list[dict[str, Any]]) -> None:
    names = ("verification", "owners", "groups", "weights")
    assert [tuple(row[name] for name in names) for row in reference] == [
        (case.verification, case.owners, case.groups, case.weights) for case in cases(RECIPE)
    ]


def test_opening_and_projected_rounds_cost_what_is_promised_whatever_the_weights(reference: list[dict[str, Any]]) -> None:
    assert max(row["open_gas"] for row in reference) <= MOST_GAS_OF_AN_OPENING
    assert max(row["bytes"] for row in reference) <= MOST_BYTES
    for row in of(reference, "projected"):
        assert row["round_gas"] <= MOST_GAS_OF_A_PROJECTED_ROUND[row["owners"]]
        assert row["owners"] > 100 or row["bytes"] <= MOST_BYTES_OF_A_HUNDRED_OWNERS


def test_exact_rounds_cost_less_than_in_the_first_protocol(reference: list[dict[str, Any]]) -> None:
    found = {(row["owners"], row["weights"]): row["round_gas"] for row in of(reference, "exact")}
    assert found[20, 20_314] <= 800_000
    assert [size for size, gas in FIRST_PROTOCOL.items() if found[size] > gas] == []


def test_recipe_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match="expected rounds alone"):
        cases(RECIPE + "\n[other]\n")
    with pytest.raises(ValueError, match="expected verification, owners, groups and weights"):
        cases('[[rounds]]\nverification = "exact"\n')
