"""Clip and norm follow from what moved, and what a clip would cut is what it cuts; numbers checkable by hand."""

from __future__ import annotations

import numpy as np
import pytest

from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.market.terms import Terms
from omnilytics_flwr.trial.proposal import propose
from tests.support.builders import VERIFICATION

MODEL = {"body": np.zeros(4, np.float32), "counter": np.zeros(2, np.int64), "head": np.zeros(3)}


def trained(body: list[float], head: float = 9.0) -> dict[str, np.ndarray]:
    return {"body": np.array(body, np.float32), "counter": np.ones(2, np.int64), "head": np.full(3, head)}


def test_two_updates_give_percentiles_clip_norm_and_cuts() -> None:
    found = propose(MODEL, [trained([0.0, 0.0, 3.0, 4.0]), trained([0.0, 0.0, -3.0, 4.0])], private=["head"])
    (body,) = found.parameters
    assert (found.weights, body.name, body.weights) == (4, "body", 4)
    assert (body.percentiles[0], body.percentiles[-1]) == (1.5, 4.0)
    assert found.norms == (5.0, 5.0)
    assert found.mean_norm == 4.0
    assert (found.clip, found.longest_mean) == (8.0, 15.0)
    proposed, largest = found.cuts[0], found.cuts[1]
    assert (proposed.clip, proposed.share, proposed.worst, proposed.length_left) == (8.0, 0.0, "", 1.0)
    assert (largest.clip, largest.share) == (4.0, 0.0)
    median = found.cuts[-1]
    assert (median.clip, median.share, median.worst, median.worst_share) == (1.5, 0.5, "body", 0.5)
    assert median.length_left == 1.5 / 4
    assert found.below_step == 0.5


def test_one_update_gets_the_terms_that_for_model_gives_it_rounded_up() -> None:
    moved = trained([0.0, 0.0, 0.0213, 0.0])
    found = propose(MODEL, [moved], private=["head"])
    terms = Terms.for_model(MODEL, verification=VERIFICATION, private=["head"], trained=moved)
    assert (found.clip, found.longest_mean) == (0.043, 0.064)
    assert 0 <= found.clip - terms.clip < 0.001
    assert 0 <= found.longest_mean - terms.longest_mean < 0.001


@pytest.mark.parametrize(
    ("updates", "reason"),
    [
        ([], "nobody trained"),
        ([trained([0.0] * 4)], "moved the public part by 0"),
        ([trained([0.0, 0.0, 0.0, np.inf])], "expected a finite move"),
        ([{"body": np.zeros(3)}], "expected one model, trained"),
    ],
)
def test_what_is_no_training_is_refused(updates: list[dict[str, np.ndarray]], reason: str) -> None:
    with pytest.raises(TermsError, match=reason):
        propose(MODEL, updates, private=["head"])
