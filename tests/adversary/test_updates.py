"""Attacks on an update: each sends what it says, whatever the honest update is."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from omnilytics_flwr.adversary.knowledge import Knowledge, Update
from omnilytics_flwr.adversary.registry import ATTACKS, Family
from omnilytics_flwr.adversary.updates import (
    BeyondClip,
    Constant,
    Copied,
    Echo,
    Noise,
    NotANumber,
    Scaled,
    SignFlip,
    Stale,
    Truncated,
    Zero,
)
from omnilytics_flwr.crypto.fixedpoint import most_unit, quantise
from omnilytics_flwr.errors import TermsError, UpdateError

KEY = bytes(32)

updates = arrays(np.float64, st.integers(1, 40), elements=st.floats(-2.0, 2.0, allow_subnormal=False))
strengths = st.floats(0.01, 50.0)


def known_of(honest: Update, seed: int = 0, **more: object) -> Knowledge:
    return Knowledge(honest, rng=np.random.default_rng(seed), **more)  # type: ignore[arg-type]


def units_of(update: Update, clip: float = 0.5) -> np.ndarray:
    return quantise(update, weights=len(update), bits=16, clip=clip, key=KEY)[: len(update)]


@given(updates, strengths)
def test_sign_flip_points_the_other_way_and_is_scaled(honest: Update, scale: float) -> None:
    sent = SignFlip(scale)(known_of(honest))
    np.testing.assert_allclose(sent + scale * honest, 0.0, atol=1e-12)
    assert np.array_equal(np.sign(sent), -np.sign(honest))


@given(updates, strengths)
def test_scaled_points_the_same_way_and_is_longer(honest: Update, factor: float) -> None:
    sent = Scaled(factor)(known_of(honest))
    np.testing.assert_allclose(sent / factor, honest, atol=1e-12)


@given(updates, strengths, st.integers(0, 2**32))
def test_noise_is_so_many_times_as_long_and_repeats_with_its_generator(honest: Update, scale: float, seed: int) -> None:
    first, second = (Noise(scale)(known_of(honest, seed)) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.linalg.norm(first) == pytest.approx(scale * np.linalg.norm(honest), abs=1e-9)


def test_noise_has_nothing_to_do_with_the_honest_update() -> None:
    honest = np.random.default_rng(1).normal(size=20_000)
    sent = Noise(1.0)(known_of(honest, 2))
    assert abs(sent @ honest) < 0.05 * np.linalg.norm(sent) * np.linalg.norm(honest)


@given(updates, st.floats(-3.0, 3.0))
def test_zero_and_constant_are_the_same_everywhere(honest: Update, value: float) -> None:
    assert np.array_equal(Zero()(known_of(honest)), np.zeros(len(honest)))
    assert np.array_equal(Constant(value)(known_of(honest)), np.full(len(honest), value))


@given(updates)
def test_copied_is_anothers_update_and_nothing_behind_masks(honest: Update) -> None:
    other = honest + 1.0
    assert np.array_equal(Copied()(known_of(honest, seen=(other, honest))), other)
    assert not Copied()(known_of(honest)).any()


@given(updates)
def test_stale_is_the_earlier_update_and_nothing_at_first(honest: Update) -> None:
    assert np.array_equal(Stale()(known_of(honest, earlier=honest - 1.0)), honest - 1.0)
    assert not Stale()(known_of(honest)).any()


@given(updates, st.floats(0.0, 2.0))
def test_echo_is_the_last_move_with_so_much_noise(honest: Update, noise: float) -> None:
    move = honest[::-1].copy()
    sent = Echo(noise)(known_of(honest, last_move=move))
    assert np.linalg.norm(sent - move) == pytest.approx(noise * np.linalg.norm(move), abs=1e-9)
    assert not Echo(noise)(known_of(honest)).any()


@given(updates, st.integers(1, 50))
def test_nan_makes_one_weight_in_so_many_nan_and_no_agent_takes_it(honest: Update, every: int) -> None:
    sent = NotANumber(every)(known_of(honest))
    hit = np.isnan(sent)
    assert np.flatnonzero(hit).tolist() == list(range(0, len(honest), every))
    assert np.array_equal(sent[~hit], honest[~hit])
    with pytest.raises(UpdateError, match="weight 0 of the update is nan"):
        units_of(sent)


@given(updates, st.sampled_from([1e6, -1e6, 3.0]))
def test_beyond_clip_is_clipped_by_an_agent_like_any_other_weight(honest: Update, value: float) -> None:
    sent = BeyondClip(value)(known_of(honest))
    assert sent[0] == value
    assert np.array_equal(sent[1:], honest[1:])
    assert abs(units_of(sent)[0] - np.sign(value) * (most_unit(16) - 1)) <= 1


@given(updates, st.integers(1, 50))
def test_wrong_length_lacks_its_end_and_no_agent_takes_it(honest: Update, missing: int) -> None:
    sent = Truncated(missing)(known_of(honest))
    assert np.array_equal(sent, honest[: max(0, len(honest) - missing)])
    with pytest.raises(UpdateError, match="the update has shape"):
        quantise(sent, weights=len(honest), bits=16, clip=0.5, key=KEY)


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.family is Family.UPDATE])
@settings(max_examples=20)
@given(honest=updates)
def test_attack_leaves_what_it_knows_alone_and_is_a_value(name: str, honest: Update) -> None:
    attack = ATTACKS[name].make()
    before, other = honest.copy(), honest * 2
    known = known_of(honest, seen=(other,), earlier=other, last_move=other)
    sent = attack(known)
    sent[:] = 7.0
    assert np.array_equal(honest, before)
    assert np.array_equal(other, before * 2)
    assert pickle.loads(pickle.dumps(attack)) == copy.copy(attack) == attack


@pytest.mark.parametrize(
    ("attack", "strength"),
    [(SignFlip, 0.0), (Scaled, -1.0), (Noise, 0.0), (Noise, float("nan")), (Echo, -0.1), (NotANumber, 0), (Truncated, 0)],
)
def test_strength_without_meaning_is_refused(attack: Callable[[float], object], strength: float) -> None:
    with pytest.raises(TermsError, match="choose another strength"):
        attack(strength)


def test_knowledge_of_another_model_is_refused() -> None:
    with pytest.raises(UpdateError, match=r"has shape \(3,\), expected \(2,\)"):
        Knowledge(np.zeros(2), seen=(np.zeros(3),))
