"""Runs are written as anybody's experiment: they import public names only, except where they look at a private part."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import runs
from omnilytics_flwr import __all__ as public

RUNS = Path(runs.__file__).parent
NAME = "omnilytics_flwr"

PRIVATE = {
    ("", "evm"): "measures the node",
    ("", "interruption"): "ends as every command does",
    ("", "explore.market_document"): "keeps the page of a market with its record",
    ("", "explore.page_file"): "the same",
    ("audit", "audit"): "audits as the command does",
    ("audit", "chain"): "the same",
    ("byzantine", "adversary"): "attacks by the kit, which is for simulations and tests",
    ("mnist", "adversary.labels"): "poisons by the kit",
    ("models", "adversary"): "the same",
    ("byzantine", "crypto"): "decides rounds by the very functions that keeper and contract share",
    ("byzantine", "market"): "the same",
    ("byzantine", "model_owner.decision"): "the same",
    ("byzantine", "model_owner.round_keeper"): "plays rounds without Flower",
    ("byzantine", "data_owner"): "plays rounds without Flower",
    ("byzantine", "clock"): "waits in the local chain's time",
    ("client", "crypto"): "plays a round with one client and made-up digests",
    ("client", "flower"): "the same",
    ("client", "market"): "the same",
    ("client", "data_owner.step_times"): "measures as the owner agent does",
    ("gas", "chain"): "plays rounds whose every byte is fixed",
    ("gas", "crypto"): "the same",
    ("gas", "market"): "the same",
    ("onchain", "market"): "plays rounds without Flower",
    ("onchain", "model_owner.decision"): "the same",
    ("onchain", "model_owner.round_keeper"): "the same",
    ("onchain", "model_owner.round_report"): "the same",
    ("server", "data_owner.owner_agent"): "plays rounds without Flower, one process a party",
    ("server", "market"): "the same",
    ("server", "model_owner"): "the same",
    ("deployment", "chain.artifacts"): "reads every event that the market emitted",
    ("deployment", "data_owner.owner_keys"): "two runs round by the same secrets, to be compared",
    ("deployment", "market.task"): "the same",
    ("mnist", "market.examples"): "names the usual number of examples as `Terms.for_model` does",
    ("mnist", "simulation"): "runs plain Flower as a market is run",
    ("models", "simulation"): "the same",
    ("models", "market.public_part"): "trains the same part without a market",
    ("plugin", "trial"): "runs apps as the command does",
    ("plugin", "trial.app_model"): "the same",
}
"""Run and private module, and why the one may import the other."""


def private_imports() -> Iterator[tuple[str, str]]:
    """Run (empty if shared by all) and module, below the package, of every import that is not of a public name."""
    for path in sorted(RUNS.rglob("*.py")):
        run, *rest = path.relative_to(RUNS).parts
        if {"node_modules", "records"} & {run, *rest}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or node.level or (node.module or "").split(".")[0] != NAME:
                continue
            names = {alias.name for alias in node.names}
            if node.module == NAME:
                found = names - set(public)
            else:
                found = {(node.module or "").removeprefix(f"{NAME}.")} - {"errors"}
            if node.module == f"{NAME}.chain":
                found = {f"chain.{name}" for name in names}
            yield from ((run if rest else "", module) for module in found)


def test_runs_import_public_names_but_for_exceptions_with_a_reason() -> None:
    def exceptions(run: str, module: str) -> list[tuple[str, str]]:
        return [one for one in PRIVATE if one[0] in ("", run) and f"{module}.".startswith(f"{one[1]}.")]

    found = list(private_imports())
    assert [one for one in found if not exceptions(*one)] == []
    used = {exception for one in found for exception in exceptions(*one)}
    assert used == set(PRIVATE), "an exception that nobody needs any more"
