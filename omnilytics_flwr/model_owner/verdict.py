"""Deciding a round before it is settled: who is out of range, who is too far, who must be waived, and the proof of it all."""

from __future__ import annotations

from collections.abc import Sequence
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
    accepted, excluded, ineligible, dropped, waived : tuple of int
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


def judge(terms: Terms, context: bytes, roster_hash: bytes, groups: Sequence[GroupSum]) -> Verdict:
    """Decide a round as the contract will, waiving no more groups than it takes.

    A group with a delivery missing is waived. Beyond f, groups out of range or too far from zero are waived too, for the market
    lets at most f groups go unpaid.

    Parameters
    ----------
    terms : Terms
    context : bytes, length 32
        Of the live round.
    roster_hash : bytes, length 32
        Of the opened roster.
    groups : sequence of GroupSum
        In roster order.
    """
    waived = {position for position, group in enumerate(groups) if group.vector is None}
    wild = [
        position
        for position, group in enumerate(groups)
        if group.vector is not None and first_out_of_range(group.vector, members=group.members, bits=terms.update_bits) is not None
    ]
    waived.update(wild[terms.faulty_groups :])
    while True:
        statement = Statement(
            context, roster_hash, tuple(group.members for group in groups), bitmap_of(waived), terms.polynomials, terms.update_bits
        )
        proof = _prove(statement, groups)
        scale, excluded = statement.scale(proof.verdict.excluded), wild[: terms.faulty_groups]
        far = _too_far(proof, scale, terms)
        left = terms.faulty_groups - len(excluded)
        if len(far) > left:
            waived.update(far[left:])
            continue
        selection = select(
            proof.verdict.distances,
            groups=len(proof.taking_part),
            excluded=len(excluded),
            faulty_groups=terms.faulty_groups,
            scale=scale,
            norm_bound=terms.norm_bound,
        )
        return _verdict(proof, selection, groups, waived, excluded, scale)


def _too_far(proof: Proof, scale: int, terms: Terms) -> list[int]:
    """Roster positions of groups whose mean is longer than the norm bound."""
    return [position for place, position in enumerate(proof.taking_part) if proof.verdict.distances[place] > scale**2 * terms.norm_bound]


def _prove(statement: Statement, groups: Sequence[GroupSum]) -> Proof:
    vectors = [None if statement.is_outside(position) else group.vector for position, group in enumerate(groups)]
    rows = [group.digests if statement.is_outside(position) else group.rows for position, group in enumerate(groups)]
    return prove(statement, vectors, rows)


def _verdict(
    proof: Proof, selection: Selection, groups: Sequence[GroupSum], waived: set[int], excluded: Sequence[int], scale: int
) -> Verdict:
    accepted = tuple(proof.taking_part[place] for place in selection.accepted)
    return Verdict(
        settlement=proof.settlement,
        accepted=accepted,
        excluded=tuple(excluded),
        ineligible=tuple(proof.taking_part[place] for place in selection.ineligible),
        dropped=tuple(proof.taking_part[place] for place in selection.dropped),
        waived=tuple(sorted(waived)),
        distances=proof.verdict.distances,
        scale=scale,
        accepted_sums=tuple(proof.sums[place] for place in selection.accepted),
        accepted_members=sum(groups[position].members for position in accepted),
    )
