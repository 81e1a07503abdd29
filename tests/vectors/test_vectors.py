"""The package gives what the vectors say, and the vectors are what `make.py` makes."""

from __future__ import annotations

import json

import pytest

from .make import FOLDER, OUTPUTS, answer, make


@pytest.mark.parametrize("kind", OUTPUTS)
def test_package_gives_what_the_vectors_say(kind: str) -> None:
    cases = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))["cases"]

    for case in cases:
        given = {key: case[key] for key in case if key not in ("name", "input")}
        assert answer(kind, case["input"]) == given, case["name"]


def test_vectors_are_what_make_makes() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")} == make()
