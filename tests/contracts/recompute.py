"""What a round must come to, from nothing but the bytes that data owners delivered and the market's terms, in plain integers.

Nothing of the package is used here: the numbers and rules are written down a second time, from docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import lcm

from Crypto.Hash import keccak

ORDER = 52435875175126190479447740508185965837690552500527637822603658699938581184513
HALF = 2**84


@dataclass(frozen=True)
class Rules:
    """The terms that a round's outcome depends on."""

    group_size: int
    faulty_groups: int
    bits: int
    norm_bound: int
    reward_wei: int


@dataclass(frozen=True)
class Outcome:
    """What a settlement must come to.

    Attributes
    ----------
    excluded, accepted : set of int
        Groups.
    distances : list of int
        Between the zero update and the groups that take part, pair by pair.
    pay_wei : dict of int to int
        By seat.
    """

    excluded: set[int]
    accepted: set[int]
    distances: list[int]
    pay_wei: dict[int, int]


def drawn_groups(seed: bytes, addresses: Mapping[int, bytes], group_size: int) -> list[list[int]]:
    """Seats of each group: everybody by the hash of seed and address, the first groups one larger if they do not come out even."""
    order = sorted(addresses, key=lambda seat: keccak.new(digest_bits=256, data=seed + addresses[seat]).digest())
    count, larger = divmod(len(order), group_size)
    groups = []
    for number in range(count):
        size = group_size + (number < larger)
        groups.append(sorted(order[:size]))
        order = order[size:]
    return groups


def decide(rules: Rules, roster: Mapping[int, Sequence[int]], vectors: Mapping[int, bytes], waived: set[int]) -> Outcome:
    """The outcome of a round.

    Parameters
    ----------
    rules : Rules
    roster : mapping of int to sequence of int
        Seats of each group of the roster, in order.
    vectors : mapping of int to bytes
        What was delivered, by seat.
    waived : set of int
        Groups that are paid and not aggregated.
    """
    judged = {group: sum_of([vectors[seat] for seat in seats]) for group, seats in roster.items() if group not in waived}
    excluded = {g for g, sums in judged.items() if not all(in_range(s, len(roster[g]), rules.bits) for s in sums)}
    taking = [group for group in judged if group not in excluded]
    scale = lcm(*(len(roster[group]) for group in taking))
    zero = scale * 2 ** (rules.bits - 1)
    rows = [[zero] * 2 * len(next(iter(judged.values())))]
    rows += [[scale // len(roster[group]) * unit for unit in units_of(judged[group])] for group in taking]
    table = {(i, k): sum((a - b) ** 2 for a, b in zip(rows[i], rows[k], strict=True)) for i, k in combinations(range(len(rows)), 2)}
    accepted = multi_krum(table, len(taking), rules.faulty_groups - len(excluded), scale**2 * rules.norm_bound)
    paid = {taking[place] for place in accepted} | waived
    pay_wei = {seat: rules.reward_wei * (group in paid) for group, seats in roster.items() for seat in seats}
    return Outcome(excluded, {taking[place] for place in accepted}, list(table.values()), pay_wei)


def sum_of(vectors: Sequence[bytes]) -> list[int]:
    """Elements of the sum of vectors of 32-byte big-endian words; masks cancel."""
    columns = zip(*(words(vector) for vector in vectors), strict=True)
    return [sum(column) % ORDER for column in columns]


def words(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[at : at + 32], "big") for at in range(0, len(raw), 32)]


def units_of(sums: Sequence[int]) -> list[int]:
    """Sums of quantised weights, two from each element."""
    return [unit for element in sums for unit in (element % HALF, element // HALF)]


def in_range(element: int, members: int, bits: int) -> bool:
    """Whether honest members can add up to an element."""
    return all(members <= unit <= members * (2**bits - 1) for unit in units_of([element]))


def multi_krum(table: Mapping[tuple[int, int], int], groups: int, faulty: int, longest: int) -> set[int]:
    """Places, from 0, of the groups that are accepted; `table` counts them from 1, and 0 is the zero update."""
    scores = []
    for one in range(1, groups + 1):
        nearest = sorted(table[min(one, other), max(one, other)] for other in range(1, groups + 1) if other != one)
        scores.append((sum(nearest[: max(1, groups - faulty - 2)]), one - 1))
    eligible = sorted(score for score in scores if table[0, score[1] + 1] <= longest)
    return {place for _, place in eligible[: groups - faulty]}
