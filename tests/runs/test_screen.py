"""What the runs print: on 60 or 80 columns, and in a pipe, nothing is cut and no line breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runs.deployment.show import show_result as show_deployment
from runs.gas.__main__ import table_of as gas_table
from runs.mnist.show import show_result as show_mnist
from runs.onchain.__main__ import table_of as onchain_table
from runs.reference import ROOT
from runs.screen import new_console

Show = Callable[[Console, dict[str, Any]], None]
WHERE: dict[str, Any] = {"folder": ROOT, "latest": ROOT}

SHOWN: dict[str, Show] = {
    "deployment": lambda console, result: show_deployment(console, result, [], **WHERE),
    "gas": lambda console, result: console.print(gas_table("Gas", result["rounds"])),
    "mnist": lambda console, result: show_mnist(console, result, ["a promise"], log=Path("log"), **WHERE),
    "onchain": lambda console, result: console.print(onchain_table(result["largest"])),
}


@pytest.mark.parametrize("run", SHOWN)
def test_screen_of_a_run_is_the_same_however_narrow(run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((ROOT / "runs" / run / "reference" / "result.json").read_text(encoding="utf-8"))
    shown = []
    for columns in (60, 80, 1000):
        monkeypatch.setenv("COLUMNS", str(columns))
        SHOWN[run](new_console(), result)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == shown[2]
    assert max(map(len, shown[0].splitlines())) > 60, "it would not fit"
    assert "\x1b" not in shown[0], "no colour in a pipe"
