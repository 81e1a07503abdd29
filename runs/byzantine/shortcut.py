"""What a market decides, without its chain, masks and proofs.

The very functions that quantise, project, measure distances, select and learn are called on the very integers of a market; what is left
out (masks that cancel, commitments, signatures, the proof) decides nothing. `runs.byzantine.confirm` shows for every attack that agents,
keeper and contract come to the same distances, groups and payments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import NDArray

from omnilytics_flwr import Terms
from omnilytics_flwr.adversary.vectors import VectorAttack
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.fixedpoint import pack, quantise
from omnilytics_flwr.crypto.projection import COPIES, project
from omnilytics_flwr.crypto.prover import pair_values
from omnilytics_flwr.crypto.statement import distance_of
from omnilytics_flwr.errors import UpdateError
from omnilytics_flwr.market.draw import group_sizes
from omnilytics_flwr.market.krum import select_for
from omnilytics_flwr.market.scheme import ExactScheme
from omnilytics_flwr.model_owner.decision import GroupSum, learn, surplus_of

__all__ = ["Decision", "Offer", "Sums", "decide", "decide_sums", "groups_of", "sums_of"]

Sums = dict[int, FieldVector | None]
"""The sum of each group's vectors, masks cancelled, by the group's number; None if a member's agent refuses its update."""


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """What a data owner brings to a round.

    Attributes
    ----------
    update : float64 array
        What its training, or its attack, gave.
    forge : VectorAttack or None
        What it does to its vector besides.
    """

    update: NDArray[np.float64]
    forge: VectorAttack | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a round came to; groups by their number, data owners by their place.

    Attributes
    ----------
    opened : bool
        False if no whole group committed: then nobody is paid, and nothing is learned.
    absent, accepted, ineligible, dropped, waived : tuple of int
        Groups by fate; of the opened ones all but `ineligible` and `dropped` are paid.
    learnt : tuple of int
        Those accepted groups that the mean is of.
    paid : frozenset of int
    scores : tuple of (int, int)
        Number and score of each group that was judged.
    distances : tuple of int
        As the contract has them.
    mean : float64 array, shape (d,), or None
        Mean update of the groups that are learnt from.
    """

    opened: bool
    absent: tuple[int, ...]
    accepted: tuple[int, ...] = ()
    learnt: tuple[int, ...] = ()
    ineligible: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    waived: tuple[int, ...] = ()
    paid: frozenset[int] = frozenset()
    scores: tuple[tuple[int, int], ...] = ()
    distances: tuple[int, ...] = ()
    mean: NDArray[np.float64] | None = None

    def fates(self) -> tuple[object, ...]:
        """All but the figures, to compare."""
        groups = (self.absent, self.accepted, self.learnt, self.ineligible, self.dropped, self.waived)
        return (self.opened, *groups, self.paid)

    def relative_scores(self) -> dict[int, float]:
        """Scores of the groups that were judged, in percent of their lower median."""
        median = sorted(score for _, score in self.scores)[(len(self.scores) - 1) // 2] if self.scores else 1
        return {number: 100 * score / max(median, 1) for number, score in self.scores}


def groups_of(owners: int, group_size: int) -> tuple[tuple[int, ...], ...]:
    """Places of the members of each group, in drawn order."""
    starts = np.cumsum([0, *group_sizes(owners, group_size)])
    return tuple(tuple(range(start, end)) for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))


def decide(terms: Terms, offers: Sequence[Offer], rounding_keys: Sequence[bytes], seed: bytes = bytes(32)) -> Decision:
    """Decide a round as keeper and contract do; parameters as for `sums_of` and `decide_sums`."""
    return decide_sums(terms, sums_of(terms, offers, rounding_keys), len(offers), seed)


def sums_of(terms: Terms, offers: Sequence[Offer], rounding_keys: Sequence[bytes]) -> Sums:
    """What the groups' vectors add up to.

    Parameters
    ----------
    terms : Terms
    offers : sequence of Offer
        By place.
    rounding_keys : sequence of bytes, length 32 each
        Of the stochastic rounding, by place.
    """
    vectors = [_vector(terms, offer, key) for offer, key in zip(offers, rounding_keys, strict=True)]
    groups = groups_of(len(offers), terms.group_size)
    return {number: _sum([vectors[place] for place in group]) for number, group in enumerate(groups)}


def decide_sums(terms: Terms, sums: Sums, owners: int, seed: bytes = bytes(32), counts: Sequence[int] = ()) -> Decision:
    """Decide a round by the groups' sums.

    Parameters
    ----------
    terms : Terms
    sums : dict
        From `sums_of`.
    owners : int
        Data owners in all.
    seed : bytes, length 32 (default: zeros)
        Of the projection, in a projected market.
    counts : sequence of int (default: the number of members)
        How much each group's mean counts.
    """
    groups = groups_of(owners, terms.group_size)
    whole = {number: total for number, total in sums.items() if total is not None}
    absent = tuple(number for number in sums if number not in whole)
    if not whole:
        return Decision(False, absent)
    proven = {number: project(total, seed) for number, total in whole.items()} if terms.projected else whole
    return _selected(terms, groups, whole, proven, absent, counts or tuple(map(len, groups)))


def _vector(terms: Terms, offer: Offer, key: bytes) -> FieldVector | None:
    """The vector less its mask, or None if the owner's agent refuses the update."""
    try:
        units = quantise(offer.update, weights=terms.weights, bits=terms.update_bits, clip=terms.clip, key=key)
    except UpdateError:
        return None
    return pack(units) if offer.forge is None else offer.forge(pack(units))


def _sum(vectors: Sequence[FieldVector | None]) -> FieldVector | None:
    there = [vector for vector in vectors if vector is not None]
    return FieldVector.total(there) if len(there) == len(vectors) else None


def _selected(
    terms: Terms,
    groups: tuple[tuple[int, ...], ...],
    sums: dict[int, FieldVector],
    proven: dict[int, FieldVector],
    absent: tuple[int, ...],
    counts: Sequence[int],
) -> Decision:
    copies, waived = COPIES if terms.projected else 1, set[int]()
    while True:
        taking = [number for number in sums if number not in waived]
        sizes = [len(groups[number]) for number in taking]
        scale = lcm(*sizes)
        values = pair_values([proven[number] for number in taking], [scale // size for size in sizes]) if taking else ()
        distances = tuple(map(distance_of, values))
        far = [number for number, distance in zip(taking, distances, strict=False) if distance > scale**2 * terms.norm_bound * copies]
        surplus = surplus_of(len(far), len(taking), terms.faulty_groups)
        if not surplus:
            break
        waived.update(far[-surplus:])
    selection = select_for(terms, distances, sizes, copies=copies)
    accepted = tuple(taking[place] for place in selection.accepted)
    read = ExactScheme(terms).read
    whole = {n: GroupSum((b"",) * len(groups[n]), sums[n], (), read(sums[n], members=len(groups[n]))) for n in taking}
    learnt, mean, _ = learn(terms, whole, accepted, counts)
    return Decision(
        opened=True,
        absent=absent,
        accepted=accepted,
        learnt=learnt,
        ineligible=tuple(taking[place] for place in selection.ineligible),
        dropped=tuple(taking[place] for place in selection.dropped),
        scores=tuple(zip(taking, selection.scores, strict=True)),
        waived=tuple(sorted(waived)),
        paid=frozenset(place for number in (*accepted, *waived) for place in groups[number]),
        distances=distances,
        mean=mean,
    )
