"""The gas of rounds of every size: exact, and within what the protocol promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runs.gas.__main__ import HERE, REFERENCE, differences, extrapolated, read_recipe, row_of
from runs.gas.extrapolation import Line
from runs.gas.rounds import TRANSACTION_GAS, Case, Cost, measure
from runs.onchain.__main__ import largest_weights
from runs.recipes import RecipeError

TEXT = (HERE / "config.toml").read_text(encoding="utf-8")
RECIPE = read_recipe(TEXT)
MOST_BYTES, MOST_BYTES_OF_A_HUNDRED_OWNERS = 131_072, 60_000
MOST_GAS_OF_AN_OPENING = 150_000
PRAGUE_FLOOR_GAS_OF_A_BYTE = 40
"""EIP-7623: what each byte but zero costs at least."""
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
def record() -> dict[str, list[dict[str, Any]]]:
    """The whole reference."""
    read: dict[str, list[dict[str, Any]]] = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def reference(record: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What the reference says was measured."""
    return record["rounds"]


def of(reference: list[dict[str, Any]], verification: str) -> Iterator[dict[str, Any]]:
    return (row for row in reference if row["verification"] == verification)


@pytest.mark.parametrize(
    "case",
    [Case("exact", 15, 5, 15), Case("projected", 15, 5, 53_000_000), Case("computed", 15, 5, 15)],
    ids=lambda case: case.verification,
)
def test_round_costs_what_the_reference_says(reference: list[dict[str, Any]], case: Case) -> None:
    assert differences(reference, [row_of(case, measure(case))]) == []


@pytest.mark.slow
def test_every_round_costs_what_the_reference_says(reference: list[dict[str, Any]]) -> None:
    assert [differences(reference, [row_of(case, measure(case))]) for case in RECIPE.cases] == [[]] * len(reference)


def test_reference_has_the_rounds_of_the_recipe(reference: list[dict[str, Any]]) -> None:
    names = ("verification", "owners", "groups", "weights")
    assert [tuple(row[name] for name in names) for row in reference] == [
        (case.verification, case.owners, case.groups, case.weights) for case in RECIPE.cases
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


def test_every_verification_is_measured_with_the_same_owners_and_groups(reference: list[dict[str, Any]]) -> None:
    crowds = [
        {(row["owners"], row["groups"]) for row in of(reference, verification)} for verification in ("exact", "projected", "computed")
    ]
    assert crowds == [{(15, 5), (20, 5), (50, 10), (100, 20), (250, 25)}] * 3


def test_computed_rounds_are_the_smallest_and_the_largest_and_pay_for_what_they_compute(reference: list[dict[str, Any]]) -> None:
    """A line through rounds that pay the floor price of calldata would not show what computing costs."""
    found = list(of(reference, "computed"))
    assert [row["weights"] for row in found[::2]] == [15] * 5
    assert [row["weights"] for row in found[1::2]] == [
        largest_weights(row["owners"], row["owners"] // row["groups"]) for row in found[1::2]
    ]
    assert [row for row in found if row["settle_gas"] <= TRANSACTION_GAS + PRAGUE_FLOOR_GAS_OF_A_BYTE * row["bytes"]] == []


def test_extrapolated_rounds_follow_from_the_measured_ones(record: dict[str, list[dict[str, Any]]]) -> None:
    assert extrapolated(record["rounds"], RECIPE.extrapolated) == record["extrapolated"]
    assert len(record["extrapolated"]) == 5 * len(RECIPE.extrapolated)


def test_largest_computed_round_lies_on_the_line_through_smaller_ones(reference: list[dict[str, Any]]) -> None:
    small, large = (row for row in of(reference, "computed") if row["owners"] == 15)
    half = Case("computed", 15, 5, large["weights"] // 2)
    measured_small = Cost(small["open_gas"], small["settle_gas"], small["bytes"])

    _, cost = Line((Case("computed", 15, 5, small["weights"]), measured_small), (half, measure(half))).at(large["weights"])

    assert (cost.open_gas, cost.bytes) == (large["open_gas"], large["bytes"])
    assert cost.settle_gas == pytest.approx(large["settle_gas"], rel=0.01)


def test_recipe_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(RecipeError, match="expected rounds and extrapolated"):
        read_recipe(TEXT + "\n[other]\n")
    with pytest.raises(RecipeError, match="expected verification, owners, groups and weights"):
        read_recipe('extrapolated = []\n[[rounds]]\nverification = "exact"\n')
