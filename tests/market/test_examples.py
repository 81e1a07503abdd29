"""How much data owners count by the numbers that they state: as in FedAvg, within bounds that no lie escapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.market.examples import MOST_EXAMPLES, count_of, share_of, usual_of

NUMBERS = st.integers(0, MOST_EXAMPLES)


@pytest.mark.parametrize(
    ("examples", "usual", "count"),
    [
        (30, 20, 30),
        (MOST_EXAMPLES, 20, 40),
        (1, 20, 10),
        (1, 7, 4),  # rounded up
        (0, 20, 20),
        (30, 0, 1),
    ],
    ids=["as it says", "a giant", "a dwarf", "half an odd number", "says nothing", "all count the same"],
)
def test_data_owner_counts_as_it_states_within_half_and_twice_the_usual_number(examples: int, usual: int, count: int) -> None:
    assert count_of(examples, usual) == count


def test_member_takes_its_update_times_its_part_of_the_group() -> None:
    assert [share_of(count, (10, 30, 20)) for count in (10, 30, 20)] == [0.5, 1.5, 1.0]
    assert share_of(7, [7] * 5) == 1.0, "exactly, so that nothing changes where all count the same"


@given(st.lists(NUMBERS, min_size=3, max_size=17), NUMBERS)
def test_shares_add_up_and_none_leaves_its_bounds_whatever_is_stated(stated: list[int], usual: int) -> None:
    counts = [count_of(number, usual) for number in stated]
    shares = [share_of(count, counts) for count in counts]
    assert sum(shares) == pytest.approx(len(stated))
    assert max(shares) <= 4 * min(shares) * (1 + 1e-12)


@given(NUMBERS, NUMBERS, st.lists(NUMBERS, min_size=2, max_size=16), st.lists(NUMBERS, min_size=2, max_size=16), NUMBERS)
def test_how_two_data_owners_weigh_against_each_other_does_not_depend_on_their_peers(
    first: int, second: int, peers: list[int], others: list[int], usual: int
) -> None:
    def ratio(company: list[int]) -> float:
        counts = [count_of(number, usual) for number in (first, second, *company)]
        return share_of(counts[0], counts) / share_of(counts[1], counts)

    assert ratio(peers) == pytest.approx(ratio(others), rel=1e-12)


def test_usual_number_is_the_lower_median_of_those_stated() -> None:
    assert usual_of([500, 0, 10, 30, 20]) == 20
    assert usual_of([0, 0]) == usual_of([]) == 0
