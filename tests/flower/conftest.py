"""Flower without its servers: the identity that messages need, and nothing that logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flwr.supercore.task_identity import TaskIdentity

SERVER_NODE = 1


@pytest.fixture(autouse=True)
def task_identity() -> Iterator[None]:
    """What Flower's runtime sets before it runs an app; the only private name of Flower in these tests."""
    names = ("_task_id", "_run_id", "_node_id")
    before = {name: getattr(TaskIdentity, name) for name in names}
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SERVER_NODE
    yield
    for name, value in before.items():
        setattr(TaskIdentity, name, value)
