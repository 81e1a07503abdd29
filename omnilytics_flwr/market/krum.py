"""Multi-Krum on the squared distances that a verification proved (docs/specification/protocol.md section 7).

Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS 2017. At most f' groups go unpaid,
as many as the number of groups taking part tolerates: those above the norm bound, and of the others those that lie farthest from the
rest, all that are left of f' or, with an outlier percentage, only those that lie far out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

from ..crypto.statement import pairs
from .refusals import MarketWrongLength, TooManyUnpaid
from .terms import Terms


@dataclass(frozen=True, slots=True)
class Selection:
    """Which groups are accepted; groups taking part are counted from 0 in roster order.

    Attributes
    ----------
    accepted : tuple of int, ascending
        Groups whose members are paid.
    ineligible : tuple of int, ascending
        Groups whose mean update is longer than the norm bound.
    dropped : tuple of int, ascending
        Groups within the bound that were left out for their scores.
    scores : tuple of int
        Of every group; squared quantisation steps times the squared scale and twice the harmonic mean of sizes.
    """

    accepted: tuple[int, ...]
    ineligible: tuple[int, ...]
    dropped: tuple[int, ...]
    scores: tuple[int, ...]


def most_unpaid(groups: int, faulty_groups: int) -> int:
    """f', how many of `groups` taking part may go unpaid: at most f, and 2 f' + 3 <= groups."""
    return 0 if groups < 3 else min(faulty_groups, (groups - 3) // 2)


def select(
    distances: Sequence[int], *, sizes: Sequence[int], faulty_groups: int, norm_bound: int, outlier_percent: int = 0, copies: int = 1
) -> Selection:
    """Accept the groups that a market pays.

    Parameters
    ----------
    distances : sequence of int
        T of all pairs (i, k), 0 <= i < k <= G', lexicographic; 0 is the zero update. On the scale of the least common multiple L of
        the sizes.
    sizes : sequence of int
        Members of each group taking part.
    faulty_groups : int
        f.
    norm_bound : int
        Largest squared norm of a group's mean update, in squared quantisation steps.
    outlier_percent : int (default: 0)
        Least score of a dropped group, in hundredths of the lower median of all scores; 0 for the paper's rule.
    copies : int (default: 1)
        s if the distances are those of projections: they come out so many times as large.

    Raises
    ------
    MarketWrongLength
        Not one distance for each pair.
    TooManyUnpaid
        More than f' groups are above the norm bound.
    """
    groups = len(sizes)
    expected = groups * (groups + 1) // 2
    if len(distances) != expected:
        raise MarketWrongLength(len(distances), expected)
    most = most_unpaid(groups, faulty_groups)
    longest = lcm(*sizes) ** 2 * norm_bound * copies
    eligible = [g for g in range(groups) if distances[g] <= longest]
    ineligible = tuple(g for g in range(groups) if g not in eligible)
    if len(ineligible) > most:
        raise TooManyUnpaid(len(ineligible), most)
    scored = scores(distances, sizes=sizes, unpaid=most)
    bound = outlier_percent * sorted(scored)[(groups - 1) // 2] if groups else 0
    outliers = [g for g in eligible if not outlier_percent or 100 * scored[g] > bound]
    dropped = sorted(outliers, key=lambda g: (scored[g], g), reverse=True)[: most - len(ineligible)]
    return Selection(
        accepted=tuple(g for g in eligible if g not in dropped),
        ineligible=ineligible,
        dropped=tuple(sorted(dropped)),
        scores=scored,
    )


def select_for(terms: Terms, distances: Sequence[int], sizes: Sequence[int], *, copies: int) -> Selection:
    """Multi-Krum by a market's terms; the rest, and what is raised, as for `select`."""
    return select(
        distances,
        sizes=sizes,
        faulty_groups=terms.faulty_groups,
        norm_bound=terms.norm_bound,
        outlier_percent=terms.outlier_percent,
        copies=copies,
    )


def scores(distances: Sequence[int], *, sizes: Sequence[int], unpaid: int) -> tuple[int, ...]:
    """Sum of each group's weighed distances to the max(1, G' - unpaid - 2), but at most G' - 1, groups nearest to it.

    A distance is weighed by 2 h_i h_k / (h_i + h_k), rounded down: the mean of a smaller group lies farther from the others.
    """
    groups = len(sizes)
    closest = min(max(1, groups - unpaid - 2), max(0, groups - 1))
    to_others: list[list[int]] = [[] for _ in range(groups)]
    for (i, k), distance in zip(pairs(groups), distances, strict=True):
        if i > 0:
            weighed = 2 * sizes[i - 1] * sizes[k - 1] * distance // (sizes[i - 1] + sizes[k - 1])
            to_others[i - 1].append(weighed)
            to_others[k - 1].append(weighed)
    return tuple(sum(sorted(row)[:closest]) for row in to_others)
