"""How much data owners count: by the numbers of examples that they state when they join, as in FedAvg (McMahan et al. 2017, algorithm 1).

A group's sum cannot be taken apart, so each member weighs its own update before it is masked: it takes it times its share, which is h
times its part of the group's examples, so that the shares of h members add up to h. Everybody reads the numbers from the market, where
they stand before anything is summed and do not change within an epoch: two sums of the same updates with different shares would tell
the updates apart (docs/explain/security.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MOST_EXAMPLES = 2**32 - 1

MEDIANS = 2
"""A number counts as the lower median of its group times this at most, and divided by this at least.

Nobody checks it: a liar, and a giant that the others could not hide, count no more; nor is anybody drowned who then hides nobody.
"""


def counts(examples: Sequence[int]) -> tuple[int, ...]:
    """How much the members of a group count, above 0, by their numbers of examples; 0 stands for none, and counts as the lower median."""
    usual = _lower_median(examples)
    return tuple(_within(number or usual, usual) for number in examples)


def shares(examples: Sequence[int]) -> tuple[float, ...]:
    """What the members of a group take their updates times; as many as there are in all, and exactly 1 each if they count the same."""
    counted = counts(examples)
    return tuple(len(counted) * number / sum(counted) for number in counted)


def group_counts(groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """How much the mean of each group counts, above 0: what its members count, none of them more than `MEDIANS` medians of all."""
    usual = _lower_median([number for group in groups for number in group])
    filled = [[number or usual for number in group] for group in groups]
    return tuple(sum(min(number, MEDIANS * usual) for number in counts(group)) for group in filled)


def _lower_median(examples: Iterable[int]) -> int:
    """Of the numbers that are stated; 1 if none is."""
    stated = sorted(number for number in examples if number) or [1]
    return stated[(len(stated) - 1) // 2]


def _within(number: int, median: int) -> int:
    return max(-(-median // MEDIANS), min(number, MEDIANS * median))
