"""Attacks that hide among honest updates: how far they go, and that Krum takes them where their papers say so."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.adversary.colluding import DirectedDeviation, InnerProduct, JustAccepted, LittleIsEnough, accepts, deviations_of
from omnilytics_flwr.adversary.knowledge import Knowledge, Rule
from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.market.krum import scores

seeds = st.integers(0, 10_000)


def crowd(seed: int, *, owners: int = 12, attackers: int = 1, weights: int = 50, spread: float = 0.1) -> tuple[Knowledge, np.ndarray]:
    """What an attacker knows, and all honest updates: alike but for their spread."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0.0, 1.0, weights) + rng.normal(0.0, spread, (owners, weights))
    return Knowledge(honest[0], seen=tuple(honest[1:]), owners=owners, attackers=attackers), honest


def krum_takes(sent: np.ndarray, honest: np.ndarray, attackers: int) -> bool:
    """Whether Krum's best score, by the market's own function, is that of an attacker's copy."""
    everybody = np.concatenate([np.tile(sent, (attackers, 1)), honest])
    steps = [[round(float(value) * 2**20) for value in row] for row in everybody]
    distances = [sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) for pair in combinations([[0] * len(sent), *steps], 2)]
    scored = scores(distances, sizes=(1,) * len(everybody), unpaid=attackers)
    return min(scored[:attackers]) <= min(scored[attackers:])


@given(seeds, st.floats(0.1, 3.0))
def test_little_is_enough_lies_so_many_deviations_below_the_mean(seed: int, deviations: float) -> None:
    known, honest = crowd(seed)
    sent = LittleIsEnough(deviations)(known)
    np.testing.assert_allclose((honest.mean(axis=0) - sent) / honest.std(axis=0), deviations, atol=1e-9)


@given(seeds)
def test_little_is_enough_is_nearer_to_the_mean_than_honest_updates_are(seed: int) -> None:
    """Its point: half a deviation at every weight is closer to the mean than an honest update, yet never cancels."""
    known, honest = crowd(seed)
    sent, mean = LittleIsEnough(0.5)(known), honest.mean(axis=0)
    assert np.linalg.norm(sent - mean) < np.linalg.norm(honest - mean, axis=1).min()
    assert krum_takes(sent, honest, 1)


@pytest.mark.parametrize(("owners", "attackers", "expected"), [(50, 24, 1.43), (50, 12, 0.34), (51, 1, 0.0)])
def test_deviations_of_the_paper(owners: int, attackers: int, expected: float) -> None:
    """(n - m - s) / (n - m) with s = floor(n / 2 + 1) - m, looked up in the normal distribution."""
    supporters = owners // 2 + 1 - attackers
    share = (owners - attackers - supporters) / (owners - attackers)
    assert deviations_of(owners, attackers) == pytest.approx(expected, abs=0.02)
    drawn = np.random.default_rng(0).normal(size=400_000)
    assert np.mean(drawn < deviations_of(owners, attackers)) == pytest.approx(share, abs=0.005)


@given(seeds, st.floats(0.05, 2.0))
def test_inner_product_is_negative_and_of_its_strength(seed: int, epsilon: float) -> None:
    known, honest = crowd(seed)
    mean, sent = honest.mean(axis=0), InnerProduct(epsilon)(known)
    np.testing.assert_allclose(sent, -epsilon * mean, atol=1e-9)
    assert sent @ mean < 0


@settings(max_examples=25)
@given(seeds, st.integers(2, 4))
def test_directed_deviation_turns_every_weight_around_and_krum_takes_it(seed: int, attackers: int) -> None:
    known, honest = crowd(seed, owners=16, attackers=attackers, spread=2.0)
    sent = DirectedDeviation()(known)
    step = np.abs(sent).max()
    np.testing.assert_allclose(sent, -step * np.sign(honest.mean(axis=0)), atol=1e-12)
    assert step > 1e-3
    assert krum_takes(sent, honest, attackers)


def test_directed_deviation_among_updates_that_are_alike_sends_next_to_nothing() -> None:
    known, _ = crowd(0, owners=16, attackers=1, spread=0.01)
    assert np.abs(DirectedDeviation()(known)).max() < 1e-5


@settings(max_examples=25)
@given(seeds)
def test_directed_deviation_goes_as_far_as_halving_finds(seed: int) -> None:
    """Twice the step is refused by Krum, or is beyond the bound of the theorem."""
    known, honest = crowd(seed, owners=16, attackers=3, spread=1.0)
    sent = DirectedDeviation()(known)
    distances = np.linalg.norm(honest[:, None] - honest[None], axis=2)
    closest, longest = np.sort(distances, axis=1)[:, 1:15].sum(axis=1).min(), np.linalg.norm(honest, axis=1).max()
    bound = (closest / 12 + longest) / np.sqrt(honest.shape[1])
    assert np.abs(sent).max() <= bound * (1 + 1e-9)
    assert 2 * np.abs(sent).max() > bound or not krum_takes(2 * sent, honest, 3)


@given(seeds, st.sampled_from([LittleIsEnough, InnerProduct]))
def test_boost_of_the_group_size_moves_a_groups_mean_as_far(seed: int, attack: type) -> None:
    """One attacker with boost h among h - 1 members that send the mean: their group's mean is what the attack says without it."""
    known, honest = crowd(seed)
    mean = honest.mean(axis=0)
    group = (attack(0.7, boost=3.0)(known) + 2 * mean) / 3
    np.testing.assert_allclose(group, attack(0.7)(known), atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([0, 125, 200]))
def test_just_accepted_is_paid_and_a_little_further_is_not(seed: int, percent: int) -> None:
    """Two attackers in two of eight groups of three; the step is found to one part in 2^12 of the longest."""
    _, honest = crowd(seed, owners=24, spread=1.0)
    rule = Rule(group_size=3, faulty_groups=2, outlier_percent=percent)
    known = Knowledge(honest[3], seen=(*honest[:3], *honest[4:]), place=3, accomplices=(0,), rule=rule)
    sent, mean = JustAccepted(longest=64.0)(known), honest.mean(axis=0)
    step = 1 - float(sent @ mean / (mean @ mean))
    np.testing.assert_allclose(sent, (1 - step) * mean, atol=1e-9)

    def paid(step: float) -> bool:
        updates = honest.copy()
        updates[[0, 3]] = (1 - step) * mean
        return accepts(rule, updates, [0, 3])

    assert paid(step) or not step  # where not even the mean is paid, it stays there
    assert not paid(step + 64 / 2**12)


@pytest.mark.parametrize("make", [LittleIsEnough, InnerProduct])
def test_strength_without_meaning_is_refused(make: Any) -> None:
    for fields in ({"boost": 0.0}, {next(iter(make.__dataclass_fields__)): -1.0}):
        with pytest.raises(TermsError):
            make(**fields)
    with pytest.raises(TermsError):
        DirectedDeviation(boost=-2.0)
