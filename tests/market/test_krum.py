from __future__ import annotations

from itertools import combinations
from math import lcm
from statistics import median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.market.krum import Selection, most_unpaid, scores, select
from omnilytics_flwr.market.refusals import MarketWrongLength, TooManyUnpaid

NO_BOUND = 2**100


def distances_of(points: list[tuple[int, ...]]) -> list[int]:
    """T of all pairs, the zero update first."""
    rows = [tuple(0 for _ in points[0]), *points] if points else [()]
    return [sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in combinations(rows, 2)]


def plain_select(points: list[tuple[int, ...]], faulty: int, bound: int, percent: int) -> tuple[int, ...]:
    """Accepted groups by the words of the protocol, one distance at a time; all groups have three members."""

    def squared(x: tuple[int, ...], y: tuple[int, ...]) -> int:
        return 3 * sum((a - b) ** 2 for a, b in zip(x, y, strict=True))

    count = len(points)
    unpaid = min(faulty, (count - 3) // 2) if count >= 3 else 0
    closest = max(1, count - unpaid - 2)
    score = {i: sum(sorted(squared(points[i], points[j]) for j in range(count) if j != i)[:closest]) for i in range(count)}
    eligible = [i for i in range(count) if sum(a * a for a in points[i]) <= bound]
    left = unpaid - (count - len(eligible))
    assert left >= 0
    while left > 0 and eligible:
        worst = max(score[i] for i in eligible)
        if percent and 100 * worst <= percent * median_low(score.values()):
            break
        eligible.remove(max(i for i in eligible if score[i] == worst))
        left -= 1
    return tuple(eligible)


def choose(points: list[tuple[int, ...]], *, faulty_groups: int, bound: int = NO_BOUND, percent: int = 0) -> Selection:
    sizes = [3] * len(points)
    scaled = [tuple(3 * x for x in point) for point in points]
    return select(distances_of(scaled), sizes=sizes, faulty_groups=faulty_groups, norm_bound=bound, outlier_percent=percent)


POINTS = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=1, max_size=9)


@given(POINTS, st.integers(0, 4), st.integers(0, 40), st.sampled_from([0, 110, 125, 200]))
def test_select_any_groups_agrees_with_the_plain_twin(points: list[tuple[int, ...]], faulty: int, bound: int, percent: int) -> None:
    too_long, unpaid = sum(x * x + y * y > bound for x, y in points), most_unpaid(len(points), faulty)
    if too_long > unpaid:
        with pytest.raises(TooManyUnpaid) as refusal:
            choose(points, faulty_groups=faulty, bound=bound, percent=percent)
        assert refusal.value.args == (too_long, unpaid)
        return
    selection = choose(points, faulty_groups=faulty, bound=bound, percent=percent)
    assert selection.accepted == plain_select(points, faulty, bound, percent)
    assert sorted(selection.accepted + selection.ineligible + selection.dropped) == list(range(len(points)))
    assert len(selection.accepted) >= len(points) - unpaid
    if percent == 0:
        assert len(selection.accepted) == len(points) - unpaid


@given(st.integers(0, 90), st.integers(0, 20), st.integers(0, 20))
def test_most_unpaid_keeps_the_promise_when_some_are_silent_and_some_faulty(more: int, silent: int, faulty: int) -> None:
    """Of 2f + 3 groups or more s are silent and b faulty, s + b <= f: then b may go unpaid, and no more than the rest tolerates."""
    f = silent + faulty
    judged = 2 * f + 3 + more - silent
    assert faulty <= most_unpaid(judged, f) <= f
    assert 2 * most_unpaid(judged, f) + 3 <= judged


@pytest.mark.parametrize(
    ("groups", "f", "expected"), [(0, 3, 0), (1, 3, 0), (2, 3, 0), (3, 3, 0), (4, 3, 0), (5, 3, 1), (6, 3, 1), (9, 3, 3), (99, 3, 3)]
)
def test_most_unpaid_by_the_groups_that_are_there(groups: int, f: int, expected: int) -> None:
    assert most_unpaid(groups, f) == expected
    assert choose([(1,)] * groups, faulty_groups=f).accepted == tuple(range(groups - expected))


def test_select_outlier_is_dropped_and_nobody_else() -> None:
    points = [(1, 1), (1, 2), (9, 9), (2, 1), (2, 2), (1, 1), (2, 2)]
    assert choose(points, faulty_groups=2, percent=150).dropped == (2,)
    assert choose(points, faulty_groups=2).dropped == (2, 3)
    assert choose([points[0]] * 7, faulty_groups=2, percent=110).dropped == ()


@pytest.mark.parametrize(("score", "dropped"), [(125, ()), (126, (4,))])
def test_select_outlier_is_strictly_above_the_percentage_of_the_lower_median(score: int, dropped: tuple[int, ...]) -> None:
    # c = 2 of 5 groups: each of the first four has two others at 50, which makes 100; the last has two at half its score.
    sizes = [2] * 5
    distance = {(i, k): 50 for i in range(1, 5) for k in range(i + 1, 5)} | {(i, 5): 1000 for i in range(1, 5)}
    distance |= {(1, 5): score - score // 2, (2, 5): score // 2}
    table = [0 if i == 0 else distance[i, k] for i, k in combinations(range(6), 2)]
    selection = select(table, sizes=sizes, faulty_groups=1, norm_bound=NO_BOUND, outlier_percent=125)
    assert selection.scores == (200, 200, 200, 200, 2 * score)
    assert selection.dropped == dropped


def test_scores_sum_the_closest_distances_only() -> None:
    # Distances from group 0 are 1, 4, 9, 16: with G' = 5 and f' = 1 the two smallest count.
    distances = distances_of([(0,), (1,), (2,), (3,), (4,)])
    sizes = [1] * 5
    assert scores(distances, sizes=sizes, unpaid=1) == (1 + 4, 1 + 1, 1 + 1, 1 + 1, 1 + 4)
    assert scores(distances, sizes=sizes, unpaid=2) == (1, 1, 1, 1, 1)
    assert scores(distances, sizes=sizes, unpaid=0) == (14, 6 + 0, 1 + 1 + 4, 6, 14)


def test_scores_weigh_distances_by_the_sizes_of_both_groups() -> None:
    """Means of 3 and 4 members of equal spread: the weighed distances are alike, or groups of 3 would always be dropped first."""
    # The variance of a difference of means is proportional to 1 / h + 1 / h'.
    sizes = [3, 4, 3, 4]
    table = [0 if i == 0 else 2520 * (sizes[i - 1] + sizes[k - 1]) // (sizes[i - 1] * sizes[k - 1]) for i, k in combinations(range(5), 2)]
    assert len(set(scores(table, sizes=sizes, unpaid=0))) == 1
    assert scores([0, 0, 0, 0, 10, 0, 0, 0, 0, 0], sizes=sizes, unpaid=1)[:2] == (0, 0)


def test_scores_round_a_weighed_distance_down() -> None:
    assert scores([0, 0, 10], sizes=[3, 4], unpaid=0) == (2 * 3 * 4 * 10 // 7,) * 2


def test_select_ties_go_to_the_lower_position() -> None:
    same = [(3, 3)] * 7
    assert choose(same, faulty_groups=1).accepted == (0, 1, 2, 3, 4, 5)
    assert choose(same, faulty_groups=2).accepted == (0, 1, 2, 3, 4)


def test_select_norm_bound_has_the_mean_for_its_unit_whatever_the_sizes() -> None:
    """Means of groups of 3 and 4 are compared on the scale 12; without the square of it the bound would throw out everybody."""
    sizes, scale, bound = [3, 4, 3, 4, 3], lcm(3, 4), 25
    # Sums whose means are 5, 5, 5, 5 and a third more than 5.
    sums = [3 * 5, 4 * 5, 3 * 5, 4 * 5, 3 * 5 + 1]
    scaled: list[tuple[int, ...]] = [(scale // size * total,) for size, total in zip(sizes, sums, strict=True)]
    selection = select(distances_of(scaled), sizes=sizes, faulty_groups=1, norm_bound=bound)
    assert selection.accepted == (0, 1, 2, 3)
    assert selection.ineligible == (4,)


@pytest.mark.parametrize(("bound", "copies", "ineligible"), [(25, 1, ()), (24, 1, (0,)), (6, 4, (0,)), (7, 4, ())])
def test_select_exactly_at_the_norm_bound_is_eligible(bound: int, copies: int, ineligible: tuple[int, ...]) -> None:
    """Of projections, lengths come out `copies` times as large, and so does the bound."""
    distances = distances_of([(3, 4), (1, 0), (0, 1), (1, 1), (0, 0)])
    selection = select(distances, sizes=[1] * 5, faulty_groups=1, norm_bound=bound, copies=copies)
    assert selection.ineligible == ineligible


@pytest.mark.parametrize("count", [14, 16, 0])
def test_select_with_another_number_of_distances_is_refused(count: int) -> None:
    with pytest.raises(MarketWrongLength) as refusal:
        select([1] * count, sizes=[3] * 5, faulty_groups=1, norm_bound=1)
    assert refusal.value.args == (count, 15)
