"""Multi-Krum on the exact squared distances that a verification proved (docs/protocol.md section 7).

Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS 2017. At most f of a
roster's groups go unpaid: the excluded ones, those above the norm bound and, if these are fewer than f, the groups
farthest from the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..crypto.statement import pairs
from .refusals import MarketWrongLength, TooManyUnpaid


@dataclass(frozen=True, slots=True)
class Selection:
    """Which groups are accepted; groups taking part are counted from 0 in roster order.

    Attributes
    ----------
    accepted : tuple of int, ascending
        Groups whose updates are aggregated and paid.
    ineligible : tuple of int, ascending
        Groups whose mean update is longer than the norm bound.
    dropped : tuple of int, ascending
        Groups within the bound that were left out for their scores.
    scores : tuple of int
        Of every group; in squared quantisation steps times the squared scale.
    """

    accepted: tuple[int, ...]
    ineligible: tuple[int, ...]
    dropped: tuple[int, ...]
    scores: tuple[int, ...]


def select(distances: Sequence[int], *, groups: int, excluded: int, faulty_groups: int, scale: int, norm_bound: int) -> Selection:
    """Accept the groups that a market pays.

    Parameters
    ----------
    distances : sequence of int
        T of all pairs (i, k), 0 <= i < k <= groups, lexicographic; 0 is the zero update.
    groups : int
        G', groups taking part.
    excluded : int
        Number of groups proven out of range; they count as unpaid.
    faulty_groups : int
        f.
    scale : int
        L, the least common multiple of the sizes of the groups taking part.
    norm_bound : int
        Largest squared norm of a group's mean update, in squared quantisation steps.

    Raises
    ------
    MarketWrongLength
        Not one distance for each pair.
    TooManyUnpaid
        More than f groups are excluded or above the norm bound.
    """
    expected = groups * (groups + 1) // 2
    if len(distances) != expected:
        raise MarketWrongLength(len(distances), expected)
    if excluded > faulty_groups:
        raise TooManyUnpaid(excluded, faulty_groups)
    faulty = faulty_groups - excluded
    eligible = [g for g in range(groups) if distances[g] <= scale**2 * norm_bound]
    if groups - len(eligible) > faulty:
        raise TooManyUnpaid(excluded + groups - len(eligible), faulty_groups)
    scored = scores(distances, groups=groups, faulty=faulty)
    best = sorted(eligible, key=lambda g: (scored[g], g))[: max(0, groups - faulty)]
    return Selection(
        accepted=tuple(sorted(best)),
        ineligible=tuple(g for g in range(groups) if g not in eligible),
        dropped=tuple(g for g in eligible if g not in best),
        scores=scored,
    )


def scores(distances: Sequence[int], *, groups: int, faulty: int) -> tuple[int, ...]:
    """Scores: the sum of each group's distances to the max(1, G' - faulty - 2), but at most G' - 1, groups nearest to it."""
    closest = min(max(1, groups - faulty - 2), groups - 1)
    to_others: list[list[int]] = [[] for _ in range(groups)]
    for (i, k), distance in zip(pairs(groups), distances, strict=True):
        if i > 0:
            to_others[i - 1].append(distance)
            to_others[k - 1].append(distance)
    return tuple(sum(sorted(row)[:closest]) for row in to_others)
