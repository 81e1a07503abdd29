"""One round in real processes: SuperLink, SuperNodes, agents, a chain; one SuperNode is killed after the opening."""

from dataclasses import replace
from pathlib import Path

import pytest

from runs.deployment import run as module
from runs.deployment.recipe import load_recipe

pytestmark = [pytest.mark.slow, pytest.mark.first, pytest.mark.timeout(900)]


def test_round_in_real_processes_settles_though_a_supernode_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HERE", tmp_path)
    recipe = load_recipe()
    # Beside other tests a delivery takes its time; who is only slow must not be accused.
    recipe = replace(recipe, rounds=1, victim_round=1, market=replace(recipe.market, accuse_seconds=2 * recipe.market.accuse_seconds))
    assert module.run(recipe, plain=False, simulation=False) == 0
