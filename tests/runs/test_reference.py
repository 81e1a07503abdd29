"""The figures of docs/reference/benchmarks.md are those of the reference records, and the reference held its promises."""

from __future__ import annotations

import json

import pytest

from runs.mnist.result import broken_promises
from runs.reference import BENCHMARKS, ROOT, rendered


def test_benchmarks_show_the_references_figures_and_no_others() -> None:
    text = BENCHMARKS.read_text(encoding="utf-8")
    assert rendered(text) == text
    other = text.replace("gas |", "gas! |", 1)
    assert rendered(other) != other
    with pytest.raises(ValueError, match="<!-- /onchain -->"):
        rendered(text.replace("<!-- /onchain -->", ""))


def test_reference_run_held_every_promise_and_a_broken_one_is_named() -> None:
    result = json.loads((ROOT / "runs" / "mnist" / "reference" / "result.json").read_text(encoding="utf-8"))
    assert broken_promises(result) == []
    result["paid_wei"][result["attackers"][0]] = result["reward_wei"]
    result["settled"][0] = False
    assert len(broken_promises(result)) == 2, "a paid attacker and a lost round"
