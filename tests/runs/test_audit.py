"""The benchmark of audits: real rounds, read from the chain and confirmed."""

from __future__ import annotations

from runs.audit.__main__ import HERE, Recipe, measure
from runs.audit.tables import audit_table
from runs.audit.verdict import verdict_text
from runs.gas.rounds import Case
from runs.recipes import read_recipe


def test_market_of_a_round_is_confirmed_and_timed() -> None:
    row = measure(Case("computed", 15, 5, 15), 1)

    assert (row["finding"], row["unseen"], row["signatures"]) == (None, [], 15)
    assert min(row["read_seconds"], row["recompute_seconds"]) > 0
    last = audit_table({"markets": [row]}).splitlines()[-1]
    assert (last.startswith("| computed | 15 | 15 | "), last.endswith("| yes |")) == (True, True)
    assert verdict_text(row).startswith("confirmed, ")
    assert verdict_text(row | {"finding": "round 1: no"}) == "round 1: no"
    assert verdict_text(row | {"unseen": ["blobs"]}) == "not seen: blobs"


def test_recipe_has_a_market_of_each_verification() -> None:
    assert [case.verification for case in read_recipe(Recipe, HERE / "config.toml").markets] == ["exact", "projected", "computed"]
