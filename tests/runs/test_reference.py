"""The README's figures are those of the reference records, and the reference held its promises."""

from __future__ import annotations

import json
from pathlib import Path

from runs.mnist.result import broken_promises
from runs.reference import README, ROOT, rendered


def test_readme_shows_the_references_figures() -> None:
    text = README.read_text(encoding="utf-8")
    assert rendered(text) == text


def test_readme_with_another_figure_is_noticed() -> None:
    text = README.read_text(encoding="utf-8").replace("gas |", "gas! |", 1)
    assert rendered(text) != text


def test_reference_run_held_every_promise() -> None:
    result = json.loads((ROOT / "runs" / "mnist" / "reference" / "result.json").read_text(encoding="utf-8"))
    assert broken_promises(result) == []
    assert result["attackers"]


def test_broken_promises_names_a_paid_attacker_and_a_lost_round() -> None:
    result = json.loads(Path(ROOT / "runs" / "mnist" / "reference" / "result.json").read_text(encoding="utf-8"))
    result["paid_wei"][result["attackers"][0]] = result["reward_wei"]
    result["settled"][0] = False
    assert len(broken_promises(result)) == 2
