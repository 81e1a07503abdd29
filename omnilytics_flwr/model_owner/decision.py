"""Decide a round before it is settled: who is too far away, void or waived, the proof of it all, and from whom to learn.

The contract decides about money. What is learnt from is decided here, from the sums themselves: distances of projections are off by a
few percent, and a sum out of range can read as distance 0 in an exact market.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..crypto.exact import exact_distances
from ..crypto.field import FieldVector
from ..crypto.fixedpoint import decode_mean
from ..crypto.prover import Proof
from ..crypto.statement import Statement
from ..market.examples import count_of
from ..market.krum import most_unpaid, select_for
from ..market.refusals import TooManyUnpaid
from ..market.roster import bitmap_of
from ..market.scheme import Scheme, Sums
from ..market.terms import Terms
from .clipping import Clipped, share_at_clip, share_cut_for_all

_FATES = ("accepted", "learnt", "ineligible", "dropped", "waived", "void", "too_long", "distances", "counts")
_MOST_TIMES = 2**12
"""Factor of the group whose members count most; others have whole ones below it. Sums of all groups still fit 63 bits."""
_AT_ONCE = 2**20
"""Weights that are added up at a time."""


@dataclass(frozen=True, slots=True)
class GroupSum:
    """A group of the roster as its model owner has it.

    Attributes
    ----------
    digests : tuple of bytes
        What each member committed to.
    proven : FieldVector or None
        What the settlement is about: the sum of the delivered vectors, masks cancelled, or its projection; None if a delivery is missing.
    shown : tuple of bytes
        What the settlement shows of each member: P points, or the vector in a computed market.
    units : int32 or int64 array, or None
        What the sum holds; None unless it is there, and what this many honest members can add up to.
    """

    digests: tuple[bytes, ...]
    proven: FieldVector | None
    shown: tuple[bytes, ...]
    units: Sums | None


@dataclass(frozen=True, slots=True)
class Decision:
    """A decided round, ready to settle; groups by roster position.

    Attributes
    ----------
    settlement : bytes
        For the verification.
    roster_hash : bytes, length 32
        Of the roster that was decided on.
    too_long : tuple of (int, float)
        Groups beyond the norm bound, ineligible or waived, each with the length of its mean update.
    distances : tuple of int
        T of all pairs of groups taking part and the zero update.
    scale : int
        L.
    tolerated : int
        f', how many of the groups taking part may be faulty.
    counts : tuple of int
        As `judge` was given them.
    mean : float64 array, shape (d,), in [-c, c], or None
        Mean update of the groups that are learnt from, by their counts; None if there is none.
    cut : Clipped
        What the clip has cut of it.
    """

    settlement: bytes
    roster_hash: bytes
    accepted: tuple[int, ...]
    learnt: tuple[int, ...]
    ineligible: tuple[int, ...]
    dropped: tuple[int, ...]
    waived: tuple[int, ...]
    void: tuple[int, ...]
    too_long: tuple[tuple[int, float], ...]
    distances: tuple[int, ...]
    scale: int
    tolerated: int
    counts: tuple[int, ...]
    mean: NDArray[np.float64] | None
    cut: Clipped

    def fates(self) -> dict[str, tuple[Any, ...]]:
        """What a report takes over, by name of its field."""
        return {name: tuple(getattr(self, name)) for name in _FATES}


def decide(
    scheme: Scheme,
    context: bytes,
    roster_hash: bytes,
    groups: Sequence[GroupSum],
    *,
    void: AbstractSet[int] = frozenset(),
    spoilt: AbstractSet[int] = frozenset(),
    counts: Sequence[int] = (),
    on_trouble: Callable[[str], None] = lambda reason: None,
) -> Decision:
    """Decide a round whatever happens: a group that nothing can be proven with is waived; every group, if need be.

    A round that was opened must settle, or everybody is paid twice over; a fault in one group's vectors, or in this code, is no excuse.

    Parameters
    ----------
    scheme, context, roster_hash, groups, void, counts
        As for `judge`.
    spoilt : set of int
        Roster positions of groups to be waived, even if they are void.
    on_trouble : callable, optional
        Called with a sentence for every failure.
    """

    def judged(waived: AbstractSet[int]) -> Decision:
        return judge(scheme, context, roster_hash, groups, void=void, waived=waived, counts=counts)

    def stands_alone(position: int) -> bool:
        try:
            judged(everybody - {position})
        except Exception:
            return False
        return True

    waived, void = set(spoilt), void - spoilt
    everybody = frozenset(range(len(groups)))
    while True:
        try:
            return judged(waived)
        except Exception as error:  # of whatever kind: the bond is at stake
            left = everybody - void - waived
            if not left:
                raise
            on_trouble(f"the round cannot be proven ({error!r}); groups that it falls over are waived")
            waived |= {position for position in left if not stands_alone(position)} or left


def judge(
    scheme: Scheme,
    context: bytes,
    roster_hash: bytes,
    groups: Sequence[GroupSum],
    *,
    void: AbstractSet[int] = frozenset(),
    waived: AbstractSet[int] = frozenset(),
    counts: Sequence[int] = (),
) -> Decision:
    """Decide a round as the contract will, waiving no more groups than it takes.

    A group with a delivery missing is waived, unless it is void. Groups too far from zero are waived beyond f', how many the market lets
    go unpaid. A sum out of range takes part like any other, and is never learnt from.

    Parameters
    ----------
    scheme : Scheme
        The market's, with its terms.
    context, roster_hash : bytes, length 32
        Of the live round and its roster.
    groups : sequence of GroupSum
        In roster order.
    void, waived : set of int
        Roster positions of groups with a lapsed member, and of those to be waived in any case, unless they are void.
    counts : sequence of int, above 0 (default: how many members each has)
        How much the mean of each group counts in what is learnt; the contract knows nothing of it.
    """
    terms, copies, too_long = scheme.terms, scheme.copies, dict[int, float]()
    outside = {position for position, group in enumerate(groups) if group.proven is None} | waived | void
    while True:
        statement = Statement(context, roster_hash, tuple(len(one.digests) for one in groups), bitmap_of(outside), terms.polynomials_proven)
        proof = _settle(scheme, statement, groups)
        places, distances, scale = statement.taking_part(), proof.verdict.distances, statement.scale()
        far = [position for place, position in enumerate(places) if distances[place] > scale**2 * terms.norm_bound * copies]
        too_long |= {position: terms.length_of(distances[places.index(position)] / (scale**2 * copies)) for position in far}
        surplus = surplus_of(len(far), len(places), terms.faulty_groups)
        if not surplus:
            break
        # Waiving changes who takes part, and so the scale and every distance: prove again.
        outside.update(far[-surplus:])
    selection = select_for(terms, distances, [statement.sizes[position] for position in places], copies=copies)
    accepted = tuple(places[place] for place in selection.accepted)
    counts = tuple(counts or statement.sizes)
    learnt, mean, cut = learn(terms, {position: groups[position] for position in places}, accepted, counts)
    return Decision(
        settlement=proof.settlement,
        roster_hash=roster_hash,
        accepted=accepted,
        learnt=learnt,
        ineligible=tuple(places[place] for place in selection.ineligible),
        dropped=tuple(places[place] for place in selection.dropped),
        waived=tuple(sorted(outside - void)),
        void=tuple(sorted(void)),
        too_long=tuple(sorted(too_long.items())),
        distances=distances,
        scale=scale,
        tolerated=most_unpaid(len(places), terms.faulty_groups),
        counts=counts,
        mean=mean,
        cut=cut,
    )


def _settle(scheme: Scheme, statement: Statement, groups: Sequence[GroupSum]) -> Proof:
    inside = [not statement.is_outside(position) for position in range(len(groups))]
    sums = [group.proven if there else None for group, there in zip(groups, inside, strict=True)]
    return scheme.settle(statement, sums, [group.shown if there else group.digests for group, there in zip(groups, inside, strict=True)])


def surplus_of(far: int, groups: int, faulty_groups: int) -> int:
    """How many of the `far` among `groups` must be waived: each of them lowers f', perhaps."""
    return next(waived for waived in range(far + 1) if far - waived <= most_unpaid(groups - waived, faulty_groups))


def learn(
    terms: Terms, groups: dict[int, GroupSum], accepted: tuple[int, ...], counts: Sequence[int]
) -> tuple[tuple[int, ...], NDArray[np.float64] | None, Clipped]:
    """Which of the accepted groups to learn from, the mean of their means by `counts`, and what the clip has cut of it.

    Parameters
    ----------
    groups : dict of int to GroupSum
        Those taking part, by roster position, as in `counts`.
    """
    sums = {position: group.units for position, group in groups.items() if group.units is not None}
    good = _selected(terms, sums, {position: len(groups[position].digests) for position in sums})
    learnt = tuple(position for position in accepted if position in good)
    if not learnt:
        return (), None, Clipped()
    sizes = {position: len(groups[position].digests) for position in learnt}
    times = _times({position: counts[position] / size for position, size in sizes.items()})
    total = np.zeros(len(sums[learnt[0]]), dtype=np.int64)
    for position in learnt:
        for start in range(0, len(total), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            total[part] += np.multiply(sums[position][part], times[position], dtype=np.int64)
    members = sum(sizes[position] * times[position] for position in learnt)
    mean = decode_mean(total, members=members, weights=terms.weights, bits=terms.update_bits, clip=terms.clip)
    # Share times limit is the same for all members of a group.
    least = count_of(1, terms.usual_examples)
    scales = [least * sizes[position] / counts[position] for position in learnt]
    for_all = share_cut_for_all([sums[position] for position in learnt], terms, members=sum(sizes.values()), scales=scales)
    furthest = least * sum(sizes.values()) / sum(counts[position] for position in learnt)
    return learnt, mean, Clipped(share_at_clip(mean, furthest * terms.clip), for_all)


def _times(weights: dict[int, float]) -> dict[int, int]:
    """Weights above 0 in whole numbers."""
    most = max(weights.values())
    if most == min(weights.values()):
        return dict.fromkeys(weights, 1)
    return {position: max(round(_MOST_TIMES * weight / most), 1) for position, weight in weights.items()}


def _selected(terms: Terms, sums: dict[int, Sums], sizes: dict[int, int]) -> set[int]:
    """Whom multi-Krum over sums in range selects."""
    positions = list(sums)
    distances = exact_distances([sums[position] for position in positions], [sizes[position] for position in positions])
    try:
        selection = select_for(terms, distances, [sizes[position] for position in positions], copies=1)
    except TooManyUnpaid:  # without the groups out of range f' is smaller; nobody has to be paid here, so the others go on alone
        near = [position for position, squared in zip(positions, distances, strict=False) if squared <= _bound(terms, sizes)]
        return _selected(terms, {position: sums[position] for position in near}, {position: sizes[position] for position in near})
    return {positions[place] for place in selection.accepted}


def _bound(terms: Terms, sizes: dict[int, int]) -> int:
    return int(lcm(*sizes.values()) ** 2 * terms.norm_bound)
