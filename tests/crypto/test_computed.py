"""The computed verification, against plain loops."""

from __future__ import annotations

from math import lcm

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.crypto.computed import FAR, verify_computed
from omnilytics_flwr.crypto.field import FieldVector, R
from omnilytics_flwr.crypto.fixedpoint import most_unit
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.crypto.lanes import MOST_WIDTH, Lanes
from omnilytics_flwr.crypto.statement import VerificationWrongLength, pairs

from .conftest import ComputedRound, make_computed_round

SIZES = st.integers(3, 16)


@st.composite
def layouts(draw: st.DrawFn) -> Lanes:
    group_size = draw(SIZES)
    return Lanes(draw(st.integers(1, 100)), draw(st.integers(3, MOST_WIDTH - group_size.bit_length())), group_size)


@given(lanes=layouts(), seed=st.integers(0, 2**32))
def test_sum_of_the_largest_group_is_read_as_it_was_packed(lanes: Lanes, seed: int) -> None:
    most, members = most_unit(lanes.update_bits), lanes.group_size + 1
    units = np.random.default_rng(seed).choice([-most, 0, 1, most], (members, lanes.places))

    total = FieldVector.total([lanes.pack(member) for member in units])

    found = lanes.read(total, members=members)
    assert found is not None
    assert (found == units.sum(axis=0)).all()


@pytest.mark.parametrize("width", range(5, MOST_WIDTH + 1))
def test_lanes_leave_room_for_the_products_of_a_million_words_between_them(width: int) -> None:
    """The contract multiplies words of three lanes, a third of an element apart, and sums the products up."""
    lanes = Lanes(1, width - 2, 3)

    assert lanes.width == width
    assert 3 * (1 << 2 * width) << 20 < 1 << width * lanes.count // 3


@pytest.mark.parametrize("beyond", [0, 1])
@pytest.mark.parametrize("sign", [-1, 1])
def test_range_ends_with_what_honest_members_can_add_up_to(sign: int, beyond: int) -> None:
    lanes = Lanes(20, 8, 3)
    units = np.zeros(lanes.places, dtype=np.int64)
    units[5] = sign * (3 * 127 + beyond)

    assert (lanes.read(lanes.pack(units), members=3) is None) == bool(beyond)


def plain_distances(played: ComputedRound) -> list[int]:
    taking = played.statement.taking_part()
    sizes = [played.statement.sizes[i] for i in taking]
    scale = lcm(*sizes)
    zero = [0] * played.lanes.places
    rows = [zero, *([scale // len(played.units[i]) * int(u) for u in np.sum(played.units[i], axis=0)] for i in taking)]
    return [sum((a - b) ** 2 for a, b in zip(rows[i], rows[k], strict=True)) for i, k in pairs(len(sizes))]


@pytest.mark.parametrize("outside", [0, 0b00100, 0b10001, 0b11111])
def test_distances_are_those_of_the_means_and_digests_those_of_the_vectors(outside: int) -> None:
    whole = make_computed_round((3, 4, 4, 3, 3), weights=50, seed=outside)
    played = whole.with_outside(outside)

    verdict = verify_computed(played.statement, played.settlement(), played.lanes)

    assert list(verdict.distances) == plain_distances(played)
    assert verdict.digests == tuple(keccak256(row) for group in whole.members for row in group)


def test_group_out_of_range_is_far_from_everybody_also_from_its_like() -> None:
    good = make_computed_round((3, 3, 3), seed=1)
    bad = good.with_extra(0, 1, 1 << good.lanes.width - 1).with_extra(2, 1, 1 << good.lanes.width - 1)

    verdict = verify_computed(bad.statement, bad.settlement(), bad.lanes)

    expected = [FAR if {i, k} & {1, 3} else t for (i, k), t in zip(pairs(3), plain_distances(good), strict=True)]
    assert list(verdict.distances) == expected


def test_word_beyond_the_order_counts_as_its_remainder_under_a_digest_of_its_own() -> None:
    played = make_computed_round((3, 3), seed=2)
    raw = played.settlement()
    other = (int.from_bytes(raw[:32], "big") + R).to_bytes(32, "big") + raw[32:]

    one, two = (verify_computed(played.statement, settlement, played.lanes) for settlement in (raw, other))

    assert one.distances == two.distances
    assert [a == b for a, b in zip(one.digests, two.digests, strict=True)] == [False] + 5 * [True]


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda raw: b"", lambda raw: raw[32:]])
def test_other_lengths_are_refused(change: object) -> None:
    played = make_computed_round((3, 4), seed=3).with_outside(0b10)
    expected = 3 * 32 * played.lanes.elements + 4 * 32
    raw = change(played.settlement())  # type: ignore[operator]

    with pytest.raises(VerificationWrongLength) as refused:
        verify_computed(played.statement, raw, played.lanes)

    assert refused.value.args == (len(raw), expected)
