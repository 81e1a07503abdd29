"""How much data owners count: by the numbers of examples that they state when they join, as in FedAvg (McMahan et al. 2017, algorithm 1).

A group's sum cannot be taken apart, so each member weighs its own update before it is masked: it cuts it to its limit, and takes it times
its share, which is h times its part of what the group counts, so that the shares of h members add up to h. Count and limit follow from a
data owner's own number and the terms alone. Whatever others state, sums of the same updates weigh any two of them against each other in
the same way: sums that do not would tell one from the other (docs/explain/security.md).
"""

from __future__ import annotations

from collections.abc import Iterable

MOST_EXAMPLES = 2**32 - 1

MOST_TIMES_USUAL = 2
"""A number counts as so many times the usual one at most, and as the usual one divided by this at least: nobody checks it."""


def count_of(examples: int, usual: int) -> int:
    """How much a data owner counts, above 0.

    Parameters
    ----------
    examples : int, 0 .. `MOST_EXAMPLES`
        As it states them; 0 states nothing, and counts as the usual number.
    usual : int, 0 .. `MOST_EXAMPLES`
        ``usual_examples`` of the terms; 0 lets everybody count the same.
    """
    if not usual:
        return 1
    return max(-(-usual // MOST_TIMES_USUAL), min(examples or usual, MOST_TIMES_USUAL * usual))


def limit_of(clip: float, count: int, usual: int) -> float:
    """Largest absolute entry of the update of a data owner that counts so much, such that it fits the clip whatever its share is."""
    return clip * count_of(1, usual) / count


def share_of(count: int, counts: Iterable[int]) -> float:
    """What a member that counts `count` takes its update times, in a group that counts `counts`; exactly 1 if all count the same."""
    counted = list(counts)
    return len(counted) * count / sum(counted)


def usual_of(examples: Iterable[int]) -> int:
    """The usual number among those stated, their lower median; 0 if none is."""
    stated = sorted(number for number in examples if number)
    return stated[(len(stated) - 1) // 2] if stated else 0
