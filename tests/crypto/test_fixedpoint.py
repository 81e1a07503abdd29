from __future__ import annotations

import math

import numpy as np
import pytest
from Crypto.Cipher import ChaCha20
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.crypto.field import FieldVector, R
from omnilytics_flwr.crypto.fixedpoint import decode_mean, pack, polynomials_for, quantise, unpack
from omnilytics_flwr.errors import UpdateError

from . import plain

KEY = bytes(range(32))


def plain_quantise(update: list[float], bits: int, clip: float, key: bytes) -> list[int]:
    stream = ChaCha20.new(key=key, nonce=bytes(8))
    units = []
    for x in update + [0.0] * (-len(update) % 8192):
        low, high = (int.from_bytes(stream.encrypt(bytes(4)), "little") for _ in range(2))
        steps = min(max(x, -clip), clip) / clip * (2 ** (bits - 1) - 2)
        units.append(math.floor(steps + (low + high + 1) / 2**32 - 0.5))
    return units


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FLOATS, min_size=1, max_size=50), st.integers(3, 32), st.sampled_from([1e-9, 0.1, 1.0, 1000.0]))
@settings(max_examples=30)
def test_quantise_any_update_agrees_with_the_plain_twin(update: list[float], bits: int, clip: float) -> None:
    units = quantise(update, weights=len(update), bits=bits, clip=clip, key=KEY)
    assert units.tolist() == plain_quantise(update, bits, clip, KEY)
    assert abs(units).max() <= 2 ** (bits - 1) - 1


@pytest.mark.parametrize("bits", [3, 16, 32])
def test_quantise_at_and_beyond_the_clip_is_the_end_of_the_range(bits: int) -> None:
    update, end = [0.3, -0.3, 5.0, -5.0, 1e308, -1e308] * 500, 2 ** (bits - 1) - 2
    units = quantise(update, weights=3000, bits=bits, clip=0.3, key=KEY)[:3000] * np.sign(update)
    assert set(units) == {end - 1, end, end + 1}


def test_quantise_same_key_repeats_and_other_key_differs() -> None:
    update = np.random.default_rng(0).normal(size=1000)
    first, again, other = (quantise(update, weights=1000, bits=4, clip=3.0, key=key) for key in (KEY, KEY, bytes(32)))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("steps", [0.0, 0.25, 0.5, -0.3, 0.99, 2.0])
def test_quantise_rounds_without_bias_with_a_bit_of_entropy_in_every_place(steps: float) -> None:
    """No place is certain, whatever its weight."""
    count = 200_000
    update = np.full(count, steps / (2**15 - 2))
    units = quantise(update, weights=count, bits=16, clip=1.0, key=KEY)[:count]
    shares = np.unique(units, return_counts=True)[1] / count
    assert abs(units.mean() - steps) < 5 * math.sqrt(0.5 / count)
    assert units.var() < 0.51
    assert -(shares * np.log2(shares)).sum() > 0.99


def test_quantise_places_after_the_last_weight_are_uncertain_too() -> None:
    units = quantise(np.zeros(15), weights=15, bits=16, clip=1.0, key=KEY)
    assert set(np.unique(units[15:])) == {-1, 0, 1}
    assert 0.2 < np.mean(units[15:] != 0) < 0.3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_quantise_not_finite_names_the_first(value: float) -> None:
    with pytest.raises(UpdateError, match=f"weight 2 of the update is {value} "):
        quantise([0.0, 0.0, value, value], weights=4, bits=8, clip=1.0, key=KEY)


@pytest.mark.parametrize("shape", [(3,), (5,), (0,), (2, 2), (1, 4)])
def test_quantise_wrong_number_of_weights_raises(shape: tuple[int, ...]) -> None:
    with pytest.raises(UpdateError, match=r"expected \(4,\)"):
        quantise(np.zeros(shape), weights=4, bits=8, clip=1.0, key=KEY)


@pytest.mark.parametrize(("weights", "polynomials"), [(1, 1), (8192, 1), (8193, 2), (24_576, 3)])
def test_polynomials_for_rounds_up(weights: int, polynomials: int) -> None:
    assert polynomials_for(weights) == polynomials
    assert len(quantise(np.zeros(weights), weights=weights, bits=8, clip=1.0, key=KEY)) == 8192 * polynomials


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40)), min_size=1, max_size=20))
def test_pack_any_units_is_low_plus_high_times_2_to_84(pairs: list[tuple[int, int]]) -> None:
    units = np.array([u for pair in pairs for u in pair], dtype=np.int64)
    vector = pack(units)
    assert vector.to_ints() == [(low + (high << 84)) % R for low, high in pairs]
    np.testing.assert_array_equal(unpack(vector, members=17, bits=38), units)


@pytest.mark.parametrize("value", [1 << 64, 1 << 83, 1 << 148, 1 << 192, R >> 1])
def test_unpack_of_no_sum_is_nothing(value: int) -> None:
    assert unpack(FieldVector.from_ints([0, value]), members=3, bits=16) is None


@pytest.mark.parametrize("bits", [3, 16, 32])
@pytest.mark.parametrize("members", [3, 17])
def test_unpack_at_every_bound_agrees_with_the_definition(members: int, bits: int) -> None:
    most = members * (2 ** (bits - 1) - 1)
    halves = [0, most, most + 1, 1 << 42, 1 << 63, 1 << 64, 1 << 83]
    signed = sorted({sign * half for half in halves for sign in (1, -1)})
    for low in signed:
        for high in signed:
            elements = [0] * 7 + [(low + (high << 84)) % R] + [0] * 8
            units = unpack(FieldVector.from_ints(elements), members=members, bits=bits)
            good = max(abs(low), abs(high)) <= most
            assert (None if units is None else units[14:16].tolist()) == ([low, high] if good else None)
            assert plain.first_out_of_range(elements, members=members, bits=bits) == (None if good else 7)


def test_decode_mean_of_a_sum_is_the_mean_of_the_updates() -> None:
    rng = np.random.default_rng(5)
    updates = rng.uniform(-1.5, 1.5, (4, 1000))
    total = sum(quantise(update, weights=1000, bits=24, clip=2.0, key=bytes([i]) * 32) for i, update in enumerate(updates))
    mean = decode_mean(total, members=4, weights=1000, bits=24, clip=2.0)
    assert mean.shape == (1000,)
    assert np.abs(mean - updates.mean(axis=0)).max() <= 1.5 * 2.0 / (2**23 - 2)
