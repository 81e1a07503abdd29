"""The mask's commitment: made while the client trains, for exactly these keys, and kept nowhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from omnilytics_flwr.crypto.curve import encode_point
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.masks import GroupMask
from omnilytics_flwr.data_owner import local_agent
from omnilytics_flwr.data_owner.mask_ahead import CommittedMask, MaskAhead
from omnilytics_flwr.market.scheme import Scheme, scheme_for
from omnilytics_flwr.market.task import TaskId
from tests.data_owner.owners import Owner, lone_task, update_of
from tests.support.builders import MARKET, make_terms

TASK = TaskId(31337, MARKET, 1, 1, bytes(32))
KEYS = b"\1" * 32


class Making:
    """Notes which masks an agent makes ahead, and tells when the first is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[CommittedMask] = []
        self.done = threading.Event()
        making = self

        class NotedMask(CommittedMask):
            def __init__(self, scheme: Scheme, mask: GroupMask) -> None:
                super().__init__(scheme, mask)
                making.made.append(self)
                making.done.set()

        monkeypatch.setattr(local_agent, "CommittedMask", NotedMask)


@pytest.fixture
def making(monkeypatch: pytest.MonkeyPatch) -> Making:
    return Making(monkeypatch)


class Constant(GroupMask):
    """A mask whose elements are all the same number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def read(self, length: int) -> FieldVector:
        return FieldVector.from_ints([self._number] * length)


def mask(number: int) -> Callable[[], CommittedMask]:
    """Makes a mask of that number."""
    return lambda: CommittedMask(scheme_for(make_terms()), Constant(number))


def assert_committed_to_its_vector(owner: Owner) -> None:
    (entry,) = owner.journal.entries()
    assert entry.points == scheme_for(make_terms()).commit(FieldVector.from_bytes(entry.vector, length=len(entry.vector) // 32))


def test_admission_starts_the_mask_and_the_commitment_uses_it(tmp_path: Path, making: Making) -> None:
    _, owner, task = lone_task(tmp_path)
    agent = owner.agent(ahead=True)
    agent.admit(task)
    assert making.done.wait(60), "nobody has trained yet"
    agent.admit(task)
    agent.commit(task, update_of(0))
    assert len(making.made) == 1
    assert_committed_to_its_vector(owner)


def test_agent_that_shares_its_process_makes_no_mask_ahead(tmp_path: Path, making: Making) -> None:
    _, owner, task = lone_task(tmp_path)
    agent = owner.agent()
    agent.admit(task)
    agent.commit(task, update_of(0))
    assert not making.made
    assert_committed_to_its_vector(owner)


def test_mask_is_that_of_its_keys_and_task_and_is_used_once(making: Making) -> None:
    ahead = MaskAhead()
    ahead.start(TASK, KEYS, mask(1))
    assert ahead.take(TASK, bytes(32)) is None, "the group's keys are others now"
    ahead.start(TASK, KEYS, mask(2))
    assert ahead.take(replace(TASK, task_hash=KEYS), KEYS) is None
    ahead.start(TASK, KEYS, mask(3))
    ahead.start(TASK, KEYS, mask(4))
    taken = ahead.take(TASK, KEYS)
    assert taken is not None
    assert taken.result().vector == Constant(3).read(4096)
    assert ahead.take(TASK, KEYS) is None, "it is forgotten"


def test_mask_and_its_commitment_are_never_on_the_disk(tmp_path: Path, making: Making) -> None:
    """Whoever had C(mask) could find a small update by trying; whoever had the mask, at once."""
    _, owner, task = lone_task(tmp_path)
    agent = owner.agent(ahead=True)
    agent.admit(task)
    assert making.done.wait(60)
    agent.commit(task, update_of(0))
    (mask,) = making.made
    secrets = [mask.vector.to_bytes()[:64], *(encode_point(point) for point in mask.points)]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(owner.journal.entries()[0].vector[:64] in content for content in files)
    for secret in secrets:
        assert not any(form in content for content in files for form in (secret, secret.hex().encode()))
    assert "vector" not in repr(mask)
