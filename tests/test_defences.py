"""The list of defences that `make defences` removes one by one: each is where it says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEFENCES = {entry["name"]: entry for entry in tomllib.loads((ROOT / ".ci" / "defences.toml").read_text())["defence"]}


@pytest.mark.parametrize("name", DEFENCES)
def test_defence_is_once_in_its_file_and_its_test_is_there(name: str) -> None:
    defence = DEFENCES[name]
    assert (ROOT / defence["file"]).read_text().count(defence["text"]) == 1
    first = defence["test"].split()[0].split("::")[0]
    assert first == "forge" or (ROOT / first).exists()
