"""Data owners whose secrets are the same in every test: what they commit to is then computed once in a process, not in every test.

A commitment to 4096 numbers takes 60 ms, and a round needs 15: they were two thirds of the time of tests that are about other things.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from omnilytics_flwr import files
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.data_owner import owner_keys, signed_projection
from omnilytics_flwr.market import scheme

_points: dict[bytes, bytes] = {}


@pytest.fixture(autouse=True)
def repeatable_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets that follow from the names of their files; commitments that are remembered by what they commit to."""
    monkeypatch.setattr(owner_keys, "create_file", _create_file)
    for module in (scheme, signed_projection):
        monkeypatch.setattr(module, "commit", _commit)


def _create_file(path: Path, content: bytes) -> None:
    files.create_file(path, sha256("/".join(path.parts[-3:]).encode()).digest()[: len(content)])


def _commit(vector: FieldVector) -> bytes:
    name = sha256(vector.to_bytes()).digest()
    if name not in _points:
        _points[name] = commit(vector)
    return _points[name]
