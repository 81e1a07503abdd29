"""How much data owners count by the numbers that they state: as in FedAvg, within bounds that no lie escapes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.market.examples import MOST_EXAMPLES, counts, group_counts, shares

STATED = st.lists(st.integers(1, MOST_EXAMPLES), min_size=3, max_size=17)


def test_members_count_by_their_examples_and_shares_add_up_to_the_members() -> None:
    assert counts([10, 30, 20]) == (10, 30, 20)
    assert shares([10, 30, 20]) == (0.5, 1.5, 1.0)


@pytest.mark.parametrize(
    ("stated", "counted"),
    [
        ([10, MOST_EXAMPLES, 10], (10, 20, 10)),
        ([10, 30, 20, 500], (10, 30, 20, 40)),  # the lower median, so that two giants of four count no more
        ([1, 100, 100], (50, 100, 100)),
        ([1, 7, 7], (4, 7, 7)),
        ([0, 30, 10], (10, 30 - 10, 10)),
        ([0, 0, 0], (1, 1, 1)),
    ],
    ids=["a giant", "two above the median", "a dwarf", "a dwarf, rounded up", "one states nothing", "nobody does"],
)
def test_number_counts_within_half_and_twice_the_median(stated: list[int], counted: tuple[int, ...]) -> None:
    assert counts(stated) == counted


@given(STATED)
def test_no_share_leaves_its_bounds_whatever_is_stated(stated: list[int]) -> None:
    found = [Fraction(share) for share in shares(stated)]
    assert float(sum(found)) == pytest.approx(len(stated))
    assert max(found) <= 4 * min(found) * (1 + Fraction(1, 10**12))
    assert shares([stated[0]] * 5) == (1.0,) * 5, "exactly, so that nothing changes where all state the same"


def test_groups_count_by_the_examples_of_their_members() -> None:
    assert group_counts([[10, 20, 30], [25, 25, 25, 25]]) == (60, 100)
    assert group_counts([[12, 0, 12], [20, 20, 0]]) == (36, 60 - 8), "a member that states nothing has the lower median of all, 12"
    assert group_counts([[MOST_EXAMPLES] * 3, [10, 10, 10], [10, 10, 12]]) == (60, 30, 32), "a group of liars counts twice"
    assert group_counts([[0, 0, 0], [0, 0, 0, 0]]) == (3, 4), "where nobody states anything, all count the same"
