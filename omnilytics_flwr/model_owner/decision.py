"""Decides a round before it is settled: which groups are out of range, too far away, void or waived, and the proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..crypto.field import FieldVector
from ..crypto.fixedpoint import decode_mean, first_out_of_range
from ..crypto.prover import Proof, prove
from ..crypto.statement import Statement, VerificationWrongExclusion, VerificationWrongOpening
from ..errors import LedgerError
from ..market.krum import select
from ..market.roster import bitmap_of
from ..market.terms import Terms

_FATES = ("accepted", "excluded", "ineligible", "dropped", "waived", "void", "distances")

_FIRST_EXCLUSION = 2
"""Number of the opening proof of the first exclusion; before it come the fold and the constant term."""


@dataclass(frozen=True, slots=True)
class GroupSum:
    """A group of the roster as its model owner has it.

    Attributes
    ----------
    digests : tuple of bytes
        One of each member.
    vector : FieldVector or None
        Sum of the delivered vectors, masks cancelled; None if a delivery is missing.
    points : tuple of bytes
        Of each delivery.
    """

    digests: tuple[bytes, ...]
    vector: FieldVector | None
    points: tuple[bytes, ...]

    def is_in_range(self, bits: int) -> bool:
        """Whether the sum is there, and what this many honest members can add up to."""
        return self.vector is not None and first_out_of_range(self.vector, members=len(self.digests), bits=bits) is None


@dataclass(frozen=True, slots=True)
class Decision:
    """A decided round, ready to settle; groups by roster position.

    Attributes
    ----------
    settlement : bytes
        For the verification.
    roster_hash : bytes, length 32
        Of the roster that was decided on.
    distances : tuple of int
        T of all pairs of groups taking part and the zero update.
    scale : int
        L.
    mean : float64 array, shape (d,), in [-c, c], or None
        Mean update of all members of accepted groups; None if no group is accepted.
    """

    settlement: bytes
    roster_hash: bytes
    accepted: tuple[int, ...]
    excluded: tuple[int, ...]
    ineligible: tuple[int, ...]
    dropped: tuple[int, ...]
    waived: tuple[int, ...]
    void: tuple[int, ...]
    distances: tuple[int, ...]
    scale: int
    mean: NDArray[np.float64] | None

    def fates(self) -> dict[str, tuple[int, ...]]:
        """What a report takes over, by name of its field."""
        return {name: tuple(getattr(self, name)) for name in _FATES}

    def named_in(self, refusal: LedgerError) -> set[int]:
        """Roster positions that a refused settlement fell over, as far as the refusal names them."""
        match refusal:
            case VerificationWrongExclusion():
                return {refusal.position}
            case VerificationWrongOpening() if refusal.which >= _FIRST_EXCLUSION:
                return {*self.excluded[refusal.which - _FIRST_EXCLUSION :][:1]}
        return set()


def decide(
    terms: Terms,
    context: bytes,
    roster_hash: bytes,
    groups: Sequence[GroupSum],
    *,
    void: AbstractSet[int] = frozenset(),
    spoilt: AbstractSet[int] = frozenset(),
    on_trouble: Callable[[str], None] = lambda reason: None,
) -> Decision:
    """Decide a round whatever happens: a group that nothing can be proven with is waived; every group, if need be.

    A round that was opened must settle, or everybody is paid twice over; a fault in one group's vectors, or in this code, is no excuse.

    Parameters
    ----------
    terms, context, roster_hash, groups, void
        As for `judge`.
    spoilt : set of int
        Roster positions of groups to be waived, even if they are void.
    on_trouble : callable, optional
        Called with a sentence for every failure.
    """

    def judged(waived: AbstractSet[int]) -> Decision:
        return judge(terms, context, roster_hash, groups, void=void, waived=waived)

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
    terms: Terms,
    context: bytes,
    roster_hash: bytes,
    groups: Sequence[GroupSum],
    *,
    void: AbstractSet[int] = frozenset(),
    waived: AbstractSet[int] = frozenset(),
) -> Decision:
    """Decide a round as the contract will, waiving no more groups than it takes.

    A group with a delivery missing is waived, unless it is void. Beyond f, groups out of range or too far from zero are waived too: the
    market lets at most f groups go unpaid.

    Parameters
    ----------
    context, roster_hash : bytes, length 32
        Of the live round and its roster.
    groups : sequence of GroupSum
        In roster order.
    void, waived : set of int
        Roster positions of groups with a lapsed member, and of those to be waived in any case, unless they are void.
    """
    taking_part = [position for position, group in enumerate(groups) if group.vector is not None and position not in waived | void]
    out_of_range = [position for position in taking_part if not groups[position].is_in_range(terms.update_bits)]
    excluded = out_of_range[: terms.faulty_groups]
    outside = set(range(len(groups))) - set(taking_part) | set(out_of_range[terms.faulty_groups :])
    while True:
        statement = Statement(
            context, roster_hash, tuple(len(group.digests) for group in groups), bitmap_of(outside), terms.polynomials, terms.update_bits
        )
        proof = _prove(statement, groups)
        places, distances = proof.taking_part, proof.verdict.distances
        scale = statement.scale(proof.verdict.excluded)
        far = [position for place, position in enumerate(places) if distances[place] > scale**2 * terms.norm_bound]
        unpaid_left = terms.faulty_groups - len(excluded)
        if len(far) <= unpaid_left:
            break
        # Waiving changes who takes part, and so the scale and every distance: prove again.
        outside.update(far[unpaid_left:])
    selection = select(
        distances,
        groups=len(places),
        excluded=len(excluded),
        faulty_groups=terms.faulty_groups,
        scale=scale,
        norm_bound=terms.norm_bound,
    )
    accepted = tuple(places[place] for place in selection.accepted)
    return Decision(
        settlement=proof.settlement,
        roster_hash=roster_hash,
        accepted=accepted,
        excluded=tuple(excluded),
        ineligible=tuple(places[place] for place in selection.ineligible),
        dropped=tuple(places[place] for place in selection.dropped),
        waived=tuple(sorted(outside - void)),
        void=tuple(sorted(void)),
        distances=distances,
        scale=scale,
        mean=_mean([proof.sums[place] for place in selection.accepted], sum(len(groups[position].digests) for position in accepted), terms),
    )


def _prove(statement: Statement, groups: Sequence[GroupSum]) -> Proof:
    inside = [not statement.is_outside(position) for position in range(len(groups))]
    vectors = [group.vector if there else None for group, there in zip(groups, inside, strict=True)]
    return prove(statement, vectors, [group.points if there else group.digests for group, there in zip(groups, inside, strict=True)])


def _mean(sums: Sequence[NDArray[np.uint64]], members: int, terms: Terms) -> NDArray[np.float64] | None:
    if not sums:
        return None
    total = np.asarray(np.sum(np.stack(sums), axis=0, dtype=np.uint64))
    return decode_mean(total, members=members, weights=terms.weights, bits=terms.update_bits, clip=terms.clip)
