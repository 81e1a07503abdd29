"""A masked vector in pieces is the vector; its steps are measured, and what a round needs is said before."""

from __future__ import annotations

import numpy as np
import pytest

from omnilytics_flwr.crypto.masks import GroupMask, MaskKey, Peer
from omnilytics_flwr.data_owner.mask_ahead import CommittedMask
from omnilytics_flwr.data_owner.masked_vector import FreshMask, mask_pieces
from omnilytics_flwr.data_owner.round_needs import RoundNeeds, message_bytes
from omnilytics_flwr.data_owner.step_times import Spent, StepTimes
from omnilytics_flwr.market.scheme import scheme_for
from tests.support.builders import make_terms

KEYS = [MaskKey.from_private(bytes([i]) * 32) for i in (1, 2, 3)]
PEERS = [Peer(bytes([i]) * 20, key.public) for i, key in enumerate(KEYS)]
EXACT: dict[str, object] = {"weights": 20_000, "update_bits": 16, "prove_seconds": 3600}
PROJECTED = EXACT | {"projected": True}


def round_mask() -> GroupMask:
    numbers = {"chain_id": 1, "epoch": 1, "round_number": 1}
    return GroupMask(KEYS[1], PEERS, market=bytes(20), epoch_seed=bytes(32), task_hash=bytes(32), **numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [EXACT, PROJECTED | {"answer_seconds": 0}], ids=["points", "hash"])
def test_vector_and_points_are_the_same_in_pieces_and_whole_by_either_mask(changes: dict[str, object]) -> None:
    scheme, times = scheme_for(make_terms(**changes)), StepTimes()
    units = np.random.default_rng(1).integers(-(2**15) + 1, 2**15, scheme.places)
    masked = scheme.pack(units) + round_mask().read(scheme.elements)
    expected = masked.to_bytes(), scheme.commit(masked)
    pieces = [units[:8192], units[8192:]]
    masks = [FreshMask(scheme, round_mask()), *([CommittedMask(scheme, round_mask())] if scheme.points else [])]
    assert [mask_pieces(pieces, mask, scheme, times) for mask in masks] == [expected] * len(masks)
    assert list(times.steps) == ["quantise", "mask", "commit"]
    assert all(spent.peak_memory_bytes > 10**6 for spent in times.steps.values())


def test_pieces_of_a_step_add_up_and_the_largest_peak_counts() -> None:
    times = StepTimes()
    times.add("mask", Spent(1.0, 2.0, 5))
    times.add("mask", Spent(0.5, 0.25, 3))
    assert times.steps == {"mask": Spent(1.5, 2.25, 5)}


@pytest.mark.parametrize(("changes", "commitments"), [(EXACT, 3), (PROJECTED, 4), (PROJECTED | {"answer_seconds": 0}, 1)])
def test_needs_of_a_round_follow_from_its_vector(monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], commitments: int) -> None:
    monkeypatch.setattr("omnilytics_flwr.data_owner.round_needs.commitment_seconds", lambda count: 100.0)
    scheme = scheme_for(make_terms(**changes))
    needs = RoundNeeds.of(scheme)
    assert message_bytes(scheme) == needs.message_bytes >= 3 * 131_072 + 96 * scheme.points
    assert needs.disk_bytes >= 2 * needs.message_bytes
    assert int(needs.seconds) == 100 * commitments
