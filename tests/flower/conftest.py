"""Flower without its servers: the identity that messages need, and nothing that logs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_owner.owners import lone_owner
from tests.flower.clients import Client, anchor_model, as_server, make_client, make_model, settle_model
from tests.support.builders import DictatedVerification
from tests.support.repeatable import repeatable_owners as repeatable_owners


@pytest.fixture(autouse=True)
def task_identity() -> Iterator[None]:
    """What Flower's runtime sets before it runs an app."""
    with as_server():
        yield


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A data owner's client; the task of `make_model()` is anchored, and only the loss may leave."""
    scene, owner = lone_owner(tmp_path, metrics=("loss",))
    anchor_model(scene, make_model())
    return make_client(owner)


@pytest.fixture
def settled_client(tmp_path: Path) -> Client:
    """The same after round 1 has settled: the task is that of round 2, and may be evaluated."""
    scene, owner = lone_owner(tmp_path, metrics=("loss",), verification=DictatedVerification())
    settle_model(scene, make_model())
    return make_client(owner)
