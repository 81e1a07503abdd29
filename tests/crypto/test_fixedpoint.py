from __future__ import annotations

import math

import numpy as np
import pytest
from Crypto.Cipher import ChaCha20
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import decode_mean, first_out_of_range, pack, polynomials_for, quantise, unpack
from omnilytics_flwr.errors import Malformed, UpdateError

KEY = bytes(range(32))


def plain_quantise(update: list[float], bits: int, clip: float, key: bytes) -> list[int]:
    stream = ChaCha20.new(key=key, nonce=bytes(8))
    m = 2 ** (bits - 1)
    units = []
    for x in update:
        draw = (int.from_bytes(stream.encrypt(bytes(8)), "little") >> 11) / 2**53
        scaled = min(max(x, -clip), clip) / clip * (m - 1)
        units.append(m + math.floor(scaled) + (draw < scaled - math.floor(scaled)))
    return units + [m] * (-len(units) % 8192)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FLOATS, min_size=1, max_size=50), st.integers(2, 32), st.sampled_from([1e-9, 0.1, 1.0, 1000.0]))
@settings(deadline=None)
def test_quantise_any_update_agrees_with_the_plain_twin(update: list[float], bits: int, clip: float) -> None:
    units = quantise(update, weights=len(update), bits=bits, clip=clip, key=KEY)
    assert units.tolist() == plain_quantise(update, bits, clip, KEY)
    assert 1 <= units.min() <= units.max() <= 2**bits - 1


@pytest.mark.parametrize("bits", [2, 16, 32])
def test_quantise_at_and_beyond_the_clip_is_the_end_of_the_range(bits: int) -> None:
    update = [0.3, -0.3, 5.0, -5.0, 0.0, -0.0, 1e308, -1e308]
    top, bottom, zero = 2**bits - 1, 1, 2 ** (bits - 1)
    units = quantise(update, weights=8, bits=bits, clip=0.3, key=KEY)
    assert units[:8].tolist() == [top, bottom, top, bottom, zero, zero, top, bottom]
    assert (units[8:] == zero).all()


def test_quantise_same_key_repeats_and_other_key_differs() -> None:
    update = np.random.default_rng(0).normal(size=1000)
    first, again, other = (quantise(update, weights=1000, bits=4, clip=3.0, key=key) for key in (KEY, KEY, bytes(32)))
    assert (first == again).all()
    assert (first != other).any()


def test_quantise_many_times_has_the_update_for_its_mean() -> None:
    update = np.full(100_000, 0.3)
    units = quantise(update, weights=update.size, bits=2, clip=1.0, key=KEY)[: update.size]
    # Each is 1 up with probability 0.3: five standard deviations of the mean.
    assert abs(units.mean() - 2.3) < 5 * math.sqrt(0.3 * 0.7 / update.size)


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


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=1, max_size=20))
@settings(deadline=None)
def test_pack_any_units_is_low_plus_high_times_2_to_84(pairs: list[tuple[int, int]]) -> None:
    units = np.array([u for pair in pairs for u in pair], dtype=np.uint64)
    vector = pack(units)
    assert vector.to_ints() == [low + (high << 84) for low, high in pairs]
    assert (unpack(vector) == units).all()


@pytest.mark.parametrize("value", [1 << 64, 1 << 83, 1 << 148, 1 << 192, R - 1])
def test_unpack_of_no_sum_raises(value: int) -> None:
    with pytest.raises(Malformed, match="element 1"):
        unpack(FieldVector.from_ints([0, value]))


def plain_out_of_range(value: int, members: int, bits: int) -> bool:
    return any(not members <= half <= members * (2**bits - 1) for half in (value % 2**84, value >> 84))


@pytest.mark.parametrize("bits", [2, 16, 32])
@pytest.mark.parametrize("members", [3, 17])
def test_first_out_of_range_at_every_bound_agrees_with_the_definition(members: int, bits: int) -> None:
    least, most = members, members * (2**bits - 1)
    halves = [0, least - 1, least, most, most + 1, 1 << 63, 1 << 64, (1 << 64) + least, (1 << 83) + least]
    values = [low + (high << 84) for low in halves for high in [*halves, 1 << 128]]
    fine = least + (least << 84)
    for value in (*values, R - 1, R - fine):
        vector = FieldVector.from_ints([fine] * (N + 7) + [value % R] + [fine] * (N - 8))
        expected = (1, 7) if plain_out_of_range(value % R, members, bits) else None
        assert first_out_of_range(vector, members=members, bits=bits) == expected


def test_decode_mean_of_a_sum_is_the_mean_of_the_updates() -> None:
    rng = np.random.default_rng(5)
    updates = rng.uniform(-1.5, 1.5, (4, 1000))
    total = sum(quantise(update, weights=1000, bits=24, clip=2.0, key=bytes([i]) * 32) for i, update in enumerate(updates))
    mean = decode_mean(total, members=4, weights=1000, bits=24, clip=2.0)
    assert mean.shape == (1000,)
    assert np.abs(mean - updates.mean(axis=0)).max() <= 2.0 / (2**23 - 1)


@pytest.mark.parametrize(("unit", "value"), [(1, -0.5), (2**31, 0.0), (2**32 - 1, 0.5)])
def test_decode_mean_at_the_ends_of_the_range_is_exact(unit: int, value: float) -> None:
    total = np.full(8192, 17 * unit, dtype=np.uint64)
    assert decode_mean(total, members=17, weights=1, bits=32, clip=0.5).tolist() == [value]
