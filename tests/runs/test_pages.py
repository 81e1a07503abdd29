"""The page of a market in a run's record, and the pictures of it for the documents."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runs.record import write_market_page
from runs.screenshots import main
from tests.chain.market_play import Play

ROOT = Path(__file__).parents[2]


def test_page_of_a_record_has_the_market_and_the_model_owners_accuracy(drawn: Play, tmp_path: Path) -> None:
    html = write_market_page(tmp_path, drawn.owner, [0.6425, 0.75]).read_text()

    assert drawn.owner.address in html
    assert '"accuracy":[64.2,75.0]' in html
    assert '"accuracy":' not in write_market_page(tmp_path, drawn.owner).read_text()


@pytest.mark.skipif(not (shutil.which("chromium") or shutil.which("chromium-browser")), reason="no chromium: no pictures are taken")
def test_pictures_are_taken_as_a_phone_and_a_desk_show_the_page(tmp_path: Path) -> None:
    pytest.importorskip("playwright.sync_api", reason="no playwright: no pictures are taken")
    page = tmp_path / "page.html"
    page.write_text("<style>@media (prefers-color-scheme: dark) { body { background: black } }</style>")

    # In a process of its own: another test's browser may be open in this one, and there can be one at a time.
    command = [sys.executable, "-m", "runs.screenshots", str(page), "--folder", str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    pictures = [Path(line) for line in said.splitlines()]
    assert [(path.name, struct.unpack(">II", path.read_bytes()[16:24])) for path in pictures] == [
        ("market-390-light.png", (390, 844)),
        ("market-390-dark.png", (390, 844)),
        ("market-1280-light.png", (1280, 844)),
        ("market-1280-dark.png", (1280, 844)),
    ]
    assert pictures[0].read_bytes() != pictures[1].read_bytes()


def test_page_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.html")]) == 1
    assert capsys.readouterr().err.startswith("RunError: there is no ")
