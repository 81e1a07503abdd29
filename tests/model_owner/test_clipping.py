"""Where everybody is cut, the mean shows it; honest updates within the clip do not look so."""

from __future__ import annotations

import numpy as np
import pytest

from omnilytics_flwr.crypto.fixedpoint import steps_per_clip
from omnilytics_flwr.market.terms import Terms
from omnilytics_flwr.model_owner.clipping import share_at_clip, share_cut_for_all
from tests.support.builders import VERIFICATION

CLIP, MEMBERS, STEPS = 0.5, 12, 2**15 - 2
TERMS = Terms.for_model(4000, verification=VERIFICATION, owners=15, clip=CLIP)


@pytest.mark.parametrize(("cut", "least", "most"), [(0, 0.0, 0.02), (1000, 0.17, 0.22), (4000, 1.0, 1.0)])
def test_share_of_weights_that_are_cut_for_all_shows_in_the_sums(cut: int, least: float, most: float) -> None:
    """Of 1,000 weights, the signs cancel at 23 %: those do not count as moved."""
    rng = np.random.default_rng(3)
    updates = rng.normal(0.0, CLIP / 5, (MEMBERS, 4000))
    updates[:, :cut] = rng.choice([-CLIP, CLIP], (MEMBERS, cut))
    steps = np.round(np.clip(updates, -CLIP, CLIP) / CLIP * STEPS).astype(np.int64) + rng.choice([-1, 0, 1], updates.shape)
    sums = [steps[:3].sum(axis=0), steps[3:7].sum(axis=0), steps[7:].sum(axis=0)]
    assert least <= share_cut_for_all(sums, TERMS, members=MEMBERS, scales=[1.0] * 3) <= most


def test_weights_that_nobodys_training_reaches_are_not_cut() -> None:
    """As most of a 3 x 3 kernel over a picture of one pixel: no sum of an even number of clips, though it might be."""
    noise = np.random.default_rng(3).choice([-1, 0, 1], (MEMBERS, 4000))
    assert share_cut_for_all([noise.sum(axis=0)], TERMS, members=MEMBERS, scales=[1.0]) == 0.0


def test_steps_too_coarse_to_tell_say_nothing() -> None:
    coarse = Terms.for_model(4000, verification=VERIFICATION, owners=15, clip=CLIP, update_bits=6)
    assert share_cut_for_all([np.full(4000, MEMBERS * steps_per_clip(6))], coarse, members=MEMBERS, scales=[1.0]) == 0.0


def test_entries_at_the_clip_are_counted() -> None:
    assert share_at_clip(np.array([CLIP, -0.996 * CLIP, 0.9 * CLIP, 0.0]), CLIP) == 0.5
