"""What leaving groups out did to the mean, from settled distances alone."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from omnilytics_flwr.market.terms import Address
from omnilytics_flwr.model_owner.round_report import RoundReport

SIZES, COUNTS = (3, 4, 3, 4), (30, 80, 50, 45)
OWNERS = tuple(Address(f"0x{number:040x}") for number in range(1, sum(SIZES) + 1))
STARTS = np.cumsum((0, *SIZES))
ROSTER = tuple(OWNERS[start:end] for start, end in pairwise(STARTS))


def report(means: np.ndarray, **fates: tuple[int, ...]) -> RoundReport:
    """A round in which the group at position 1 is waived, with the distances of the others' means, on a scale of 12."""
    vectors = [np.zeros(means.shape[1]), *(12 * means[place] for place in (0, 2, 3))]
    distances = tuple(int(((a - b) ** 2).sum()) for a, b in combinations(vectors, 2))
    return RoundReport(1, 1, True, OWNERS, OWNERS, ROSTER, waived=(1,), distances=distances, scale=12, counts=COUNTS, **fates)


def test_shift_is_that_of_the_means_themselves() -> None:
    means = np.random.default_rng(7).integers(-1000, 1000, (4, 50)).astype(float)
    without, all_judged = (np.average(means[list(places)], axis=0, weights=[COUNTS[p] for p in places]) for places in ((0, 3), (0, 2, 3)))
    shift = report(means, accepted=(0, 3), learnt=(0, 3), dropped=(2,)).shift
    assert shift == pytest.approx(np.linalg.norm(without - all_judged) / np.linalg.norm(all_judged), rel=1e-9)
    assert report(means, accepted=(0, 2, 3), learnt=(0, 2, 3)).shift == pytest.approx(0.0, abs=1e-6)


def test_nothing_is_said_where_nothing_was_learnt_or_moved() -> None:
    assert report(np.ones((4, 5)), accepted=(0, 2, 3)).shift is None
    assert report(np.zeros((4, 5)), accepted=(0, 3), learnt=(0, 3), dropped=(2,)).shift is None
    assert RoundReport(1, 1, False, OWNERS, ()).shift is None
