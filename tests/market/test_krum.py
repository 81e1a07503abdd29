from __future__ import annotations

from itertools import combinations
from math import lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.market.krum import Selection, scores, select
from omnilytics_flwr.market.refusals import MarketWrongLength, TooManyUnpaid

NO_BOUND = 2**100


def distances_of(points: list[tuple[int, ...]]) -> list[int]:
    """T of all pairs, the zero update first."""
    rows = [tuple(0 for _ in points[0]), *points] if points else [()]
    return [sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in combinations(rows, 2)]


def plain_select(points: list[tuple[int, ...]], faulty: int, bound: int) -> tuple[int, ...]:
    """Accepted groups by the paper's words, one distance at a time."""

    def squared(x: tuple[int, ...], y: tuple[int, ...]) -> int:
        return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))

    count = len(points)
    closest = max(1, count - faulty - 2)
    score = {i: sum(sorted(squared(points[i], points[j]) for j in range(count) if j != i)[:closest]) for i in range(count)}
    eligible = [i for i in range(count) if sum(a * a for a in points[i]) <= bound]
    while len(eligible) > max(0, count - faulty):
        worst = max(score[i] for i in eligible)
        eligible.remove(max(i for i in eligible if score[i] == worst))
    return tuple(eligible)


def choose(points: list[tuple[int, ...]], *, faulty_groups: int, excluded: int = 0, bound: int = NO_BOUND) -> Selection:
    return select(distances_of(points), groups=len(points), excluded=excluded, faulty_groups=faulty_groups, scale=1, norm_bound=bound)


POINTS = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=1, max_size=9)


@given(POINTS, st.integers(0, 4), st.integers(0, 40))
@settings(deadline=None)
def test_select_any_groups_agrees_with_the_plain_twin(points: list[tuple[int, ...]], faulty: int, bound: int) -> None:
    too_long = sum(x * x + y * y > bound for x, y in points)
    if too_long > faulty:
        with pytest.raises(TooManyUnpaid) as refusal:
            choose(points, faulty_groups=faulty, bound=bound)
        assert refusal.value.args == (too_long, faulty)
        return

    selection = choose(points, faulty_groups=faulty, bound=bound)

    assert selection.accepted == plain_select(points, faulty, bound)
    assert sorted(selection.accepted + selection.ineligible + selection.dropped) == list(range(len(points)))
    # Exactly f' groups go unpaid, however the attackers lie.
    assert len(selection.accepted) == max(0, len(points) - faulty)


def test_select_outlier_is_dropped() -> None:
    selection = choose([(1, 1), (1, 2), (9, 9), (2, 1), (2, 2)], faulty_groups=1)
    assert selection == Selection(accepted=(0, 1, 3, 4), ineligible=(), dropped=(2,), scores=(2, 2, 211, 2, 2))


def test_scores_sum_the_closest_distances_only() -> None:
    # Distances from group 0 are 1, 4, 9, 16: with G' = 5 and f' = 1 the two smallest count.
    distances = distances_of([(0,), (1,), (2,), (3,), (4,)])
    assert scores(distances, groups=5, faulty=1) == (1 + 4, 1 + 1, 1 + 1, 1 + 1, 1 + 4)
    assert scores(distances, groups=5, faulty=2) == (1, 1, 1, 1, 1)
    assert scores(distances, groups=5, faulty=0) == (14, 6 + 0, 1 + 1 + 4, 6, 14)


def test_select_ties_go_to_the_lower_position() -> None:
    same = [(3, 3)] * 5
    assert choose(same, faulty_groups=1).accepted == (0, 1, 2, 3)
    assert choose(same, faulty_groups=2).accepted == (0, 1, 2)


@pytest.mark.parametrize(("excluded", "accepted"), [(0, (0, 1, 2)), (1, (0, 1, 2, 3)), (2, (0, 1, 2, 3, 4))])
def test_select_excluded_groups_use_up_what_may_go_unpaid(excluded: int, accepted: tuple[int, ...]) -> None:
    assert choose([(1,)] * 5, faulty_groups=2, excluded=excluded).accepted == accepted


@pytest.mark.parametrize(("excluded", "too_long", "facts"), [(3, 0, (3, 2)), (2, 1, (3, 2)), (0, 3, (3, 2)), (3, 2, (3, 2))])
def test_select_more_than_f_unpaid_is_refused(excluded: int, too_long: int, facts: tuple[int, int]) -> None:
    points = [(100,)] * too_long + [(1,)] * (5 - too_long)
    with pytest.raises(TooManyUnpaid) as refusal:
        choose(points, faulty_groups=2, excluded=excluded, bound=4)
    assert refusal.value.args == facts


def test_select_as_many_unpaid_as_f_is_taken() -> None:
    selection = choose([(100,), (1,), (1,), (1,), (2,)], faulty_groups=2, excluded=1, bound=4)
    assert selection.accepted == (1, 2, 3, 4)
    assert selection.ineligible == (0,)


def test_select_norm_bound_has_the_mean_for_its_unit_whatever_the_sizes() -> None:
    """Means of groups of 3 and 4 are compared on the scale 12; without the square of it the bound would throw out everybody."""
    sizes, scale, bound = [3, 4, 3, 4, 3], lcm(3, 4), 25
    # Sums whose means are 5, 5, 5, 5 and a third more than 5.
    sums = [3 * 5, 4 * 5, 3 * 5, 4 * 5, 3 * 5 + 1]
    scaled: list[tuple[int, ...]] = [(scale // size * total,) for size, total in zip(sizes, sums, strict=True)]
    selection = select(distances_of(scaled), groups=5, excluded=0, faulty_groups=1, scale=scale, norm_bound=bound)
    assert selection.accepted == (0, 1, 2, 3)
    assert selection.ineligible == (4,)


@pytest.mark.parametrize(("bound", "ineligible"), [(25, ()), (24, (0,))])
def test_select_exactly_at_the_norm_bound_is_eligible(bound: int, ineligible: tuple[int, ...]) -> None:
    selection = choose([(3, 4), (1, 0), (0, 1), (1, 1), (0, 0)], faulty_groups=1, bound=bound)
    assert selection.ineligible == ineligible


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("faulty", [0, 1, 3])
def test_select_few_groups_accepts_what_is_left_of_f(count: int, faulty: int) -> None:
    selection = choose([(1,)] * count, faulty_groups=faulty)
    assert selection.accepted == tuple(range(max(0, count - faulty)))


@pytest.mark.parametrize("count", [14, 16, 0])
def test_select_with_another_number_of_distances_is_refused(count: int) -> None:
    with pytest.raises(MarketWrongLength) as refusal:
        select([1] * count, groups=5, excluded=0, faulty_groups=1, scale=1, norm_bound=1)
    assert refusal.value.args == (count, 15)
