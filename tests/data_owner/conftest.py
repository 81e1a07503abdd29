"""Fixtures: a market in which one data owner is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders import Scene

from .owners import Owner, make_owners_scene


@pytest.fixture
def owned(tmp_path: Path) -> tuple[Scene, Owner]:
    """A drawn market with data owner 0 for real."""
    scene, owners = make_owners_scene(tmp_path, real=[0])
    return scene, owners[0]
