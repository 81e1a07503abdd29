"""Deciding a round before it is settled: who is out of range, who is too far, who is void, who must be waived, and the proof of it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..crypto.field import FieldVector
from ..crypto.fixedpoint import decode_mean, first_out_of_range
from ..crypto.prover import Proof, prove
from ..crypto.statement import Statement
from ..market.krum import Selection, select
from ..market.roster import bitmap_of
from ..market.terms import Terms


@dataclass(frozen=True, slots=True)
class GroupSum:
    """A group of the roster as its model owner has it.

    Attributes
    ----------
    members : int
    vector : FieldVector or None
        Sum of the delivered vectors, masks cancelled; None if a delivery is missing.
    rows : tuple of bytes
        For each member its points, or its digest if a delivery is missing.
    digests : tuple of bytes
    """

    members: int
    vector: FieldVector | None
    rows: tuple[bytes, ...]
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decided round; groups by roster position.

    Attributes
    ----------
    settlement : bytes
        For the verification.
    accepted, excluded, ineligible, dropped, waived, void : tuple of int
    distances : tuple of int
        T of all pairs of groups taking part and the zero update.
    scale : int
        L.
    """

    settlement: bytes
    accepted: tuple[int, ...]
    excluded: tuple[int, ...]
    ineligible: tuple[int, ...]
    dropped: tuple[int, ...]
    waived: tuple[int, ...]
    void: tuple[int, ...]
    distances: tuple[int, ...]
    scale: int
    accepted_sums: tuple[NDArray[np.uint64], ...]
    accepted_members: int

    def mean(self, terms: Terms) -> NDArray[np.float64] | None:
        """Mean update of all members of accepted groups; None if no group is accepted.

        Returns
        -------
        float64 array, shape (d,), in [-c, c]
        """
        if not self.accepted_sums:
            return None
        total = np.asarray(np.sum(np.stack(self.accepted_sums), axis=0, dtype=np.uint64))
        return decode_mean(total, members=self.accepted_members, weights=terms.weights, bits=terms.update_bits, clip=terms.clip)


def decide(
    terms: Terms,
    context: bytes,
    roster_hash: bytes,
    groups: Sequence[GroupSum],
    *,
    void: AbstractSet[int] = frozenset(),
    spoilt: AbstractSet[int] = frozenset(),
    on_trouble: Callable[[str], None] = lambda reason: None,
) -> Verdict:
    """Decide a round whatever happens: a group with which nothing can be proven is waived, and if need be every group is.

    A round that was opened must settle, or everybody is paid twice over; a fault in one group's vectors, or in this code, is no reason.

    Parameters
    ----------
    terms, context, roster_hash, groups, void
        As for `judge`.
    spoilt : set of int
        Roster positions of groups to be waived, even if they are void.
    on_trouble : callable
        Called with a sentence for every failure.
    """
    waived, void = set(spoilt), void - spoilt
    everybody = frozenset(range(len(groups)))
    while True:
        try:
            return judge(terms, context, roster_hash, groups, void=void, waived=waived)
        except Exception as error:
            left = everybody - void - waived
            if not left:
                raise
            on_trouble(f"the round cannot be proven ({error!r}); groups that it falls over are waived")
            waived |= {position for position in left if not _stands_alone(terms, context, roster_hash, groups, void, position)} or left


def _stands_alone(
    terms: Terms, context: bytes, roster_hash: bytes, groups: Sequence[GroupSum], void: AbstractSet[int], position: int
) -> bool:
    """Whether something can be proven with this group and no other."""
    try:
        judge(terms, context, roster_hash, groups, void=void, waived=frozenset(range(len(groups))) - {position})
    except Exception:
        return False
    return True


def judge(
    terms: Terms,
    context: bytes,
    roster_hash: bytes,
    groups: Sequence[GroupSum],
    *,
    void: AbstractSet[int] = frozenset(),
    waived: AbstractSet[int] = frozenset(),
) -> Verdict:
    """Decide a round as the contract will, waiving no more groups than it takes.

    A group with a delivery missing is waived, unless it is void. Beyond f, groups out of range or too far from zero are waived too, for
    the market lets at most f groups go unpaid.

    Parameters
    ----------
    terms : Terms
    context : bytes, length 32
        Of the live round.
    roster_hash : bytes, length 32
        Of the opened roster.
    groups : sequence of GroupSum
        In roster order.
    void : set of int
        Roster positions of groups with a lapsed member.
    waived : set of int
        Roster positions of groups to be waived in any case, unless they are void.
    """
    taking_part = [position for position, group in enumerate(groups) if group.vector is not None and position not in waived | void]
    out_of_range = [position for position in taking_part if _is_out_of_range(groups[position], terms)]
    excluded = out_of_range[: terms.faulty_groups]
    outside = set(range(len(groups))) - set(taking_part) | set(out_of_range[terms.faulty_groups :])
    while True:
        statement = Statement(
            context, roster_hash, tuple(group.members for group in groups), bitmap_of(outside), terms.polynomials, terms.update_bits
        )
        proof = _prove(statement, groups)
        scale = statement.scale(proof.verdict.excluded)
        far = _too_far(proof, scale, terms)
        left = terms.faulty_groups - len(excluded)
        if len(far) > left:
            outside.update(far[left:])
            continue
        selection = select(
            proof.verdict.distances,
            groups=len(proof.taking_part),
            excluded=len(excluded),
            faulty_groups=terms.faulty_groups,
            scale=scale,
            norm_bound=terms.norm_bound,
        )
        return _verdict(proof, selection, groups, outside, void, excluded, scale)


def _is_out_of_range(group: GroupSum, terms: Terms) -> bool:
    """Whether a group's sum is out of range."""
    return group.vector is not None and first_out_of_range(group.vector, members=group.members, bits=terms.update_bits) is not None


def _too_far(proof: Proof, scale: int, terms: Terms) -> list[int]:
    """Roster positions of groups whose mean is longer than the norm bound."""
    return [position for place, position in enumerate(proof.taking_part) if proof.verdict.distances[place] > scale**2 * terms.norm_bound]


def _prove(statement: Statement, groups: Sequence[GroupSum]) -> Proof:
    vectors = [None if statement.is_outside(position) else group.vector for position, group in enumerate(groups)]
    rows = [group.digests if statement.is_outside(position) else group.rows for position, group in enumerate(groups)]
    return prove(statement, vectors, rows)


def _verdict(
    proof: Proof,
    selection: Selection,
    groups: Sequence[GroupSum],
    outside: AbstractSet[int],
    void: AbstractSet[int],
    excluded: Sequence[int],
    scale: int,
) -> Verdict:
    accepted = tuple(proof.taking_part[place] for place in selection.accepted)
    return Verdict(
        settlement=proof.settlement,
        accepted=accepted,
        excluded=tuple(excluded),
        ineligible=tuple(proof.taking_part[place] for place in selection.ineligible),
        dropped=tuple(proof.taking_part[place] for place in selection.dropped),
        waived=tuple(sorted(outside - void)),
        void=tuple(sorted(void)),
        distances=proof.verdict.distances,
        scale=scale,
        accepted_sums=tuple(proof.sums[place] for place in selection.accepted),
        accepted_members=sum(groups[position].members for position in accepted),
    )
