"""What a round takes is said in figures, and refused where it cannot be held."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.market.scheme import scheme_for
from omnilytics_flwr.model_owner.server_needs import ServerNeeds
from tests.support.builders import make_terms

Usage = namedtuple("Usage", ["total", "used", "free"])


def test_needs_follow_from_weights_owners_and_what_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, projected = (scheme_for(make_terms(weights=20_000, prove_seconds=300, projected=projected)) for projected in (False, True))
    vector, places = 3 * 4096 * 32, 3 * 8192
    needs = ServerNeeds.of(exact, owners=15)
    assert needs.disk_bytes == 15 * vector
    assert needs.memory_bytes == 5 * (8 * places + vector) + 3 * vector + 32 * places
    assert ServerNeeds.of(projected, owners=15).memory_bytes == 5 * 4 * places + 3 * vector + 32 * places
    assert needs.seconds > 0
    assert "take 6 MB of disk" in str(needs)

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 15 * vector))
    needs.check_disk(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 15 * vector - 1))
    with pytest.raises(TermsError, match=r"take 0\.01 GB on the disk .* choose another place by run_dir or TMPDIR"):
        needs.check_disk(None)
