"""The examples that docs/start walks through: ordinary Flower apps, run as it says, and paid."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from omnilytics_flwr.errors import TermsError
from runs.examples.__main__ import main, play, settings_of

APPS = Path(__file__).parents[2] / "runs" / "examples"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["quickstart", pytest.param("private", marks=pytest.mark.slow)])
def test_example_learns_and_everybody_is_paid(name: str) -> None:
    console = Console(record=True, width=100)

    assert play(APPS / name, 1, console) == 0

    shown = console.export_text()
    assert "after round 1: accuracy " in shown
    together = next(line for line in shown.splitlines() if "together" in line)
    assert float(together.split("│")[3]) >= 0.012, "twelve of fifteen at least: one group may differ too much"


def test_quickstart_knows_of_the_market_in_two_lines_of_each_side_only() -> None:
    folder = APPS / "quickstart" / "quickstart"
    lines = {name: (folder / name).read_text().splitlines() for name in ("client_app.py", "server_app.py", "task.py")}

    touched = {name: sum("mnilytics" in line for line in text) for name, text in lines.items()}

    assert touched == {"client_app.py": 2, "server_app.py": 2, "task.py": 0}


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is no Flower app"), ("[tool.omnilytics]\nprice = 1\n[tool.flwr.app.config]\n", r"says price; expected some of clip")],
)
def test_app_that_is_none_or_says_what_no_market_knows_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(text)

    with pytest.raises(TermsError, match=words):
        settings_of(tmp_path)
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("TermsError: ")
