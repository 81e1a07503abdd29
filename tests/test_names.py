"""One name, one thing: no two modules and no two public classes of the package share a name."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import omnilytics_flwr

PACKAGE = Path(omnilytics_flwr.__file__).parent

TWICE: dict[str, str] = {}
"""Names that two modules or classes share, each with the reason."""


def module_names() -> Iterator[str]:
    for path in PACKAGE.rglob("*.py"):
        if path.stem == "__init__":
            yield path.parent.name
        elif path.stem != "__main__":
            yield path.stem


def class_names(source: str) -> Iterator[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def shared(names: Iterator[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}


def test_modules_and_public_classes_share_names_for_a_reason_only() -> None:
    classes = (name for path in PACKAGE.rglob("*.py") for name in class_names(path.read_text(encoding="utf-8")))

    assert shared(module_names()) | shared(classes) == set(TWICE)


@pytest.mark.parametrize(
    ("source", "names"),
    [("class A: ...\nclass A: ...", {"A"}), ("class _A: ...\nclass _A: ...", set()), ("class A: ...\ndef a(): ...", set())],
)
def test_reader_of_classes_finds_what_is_there_twice(source: str, names: set[str]) -> None:
    assert shared(class_names(source)) == names
