"""How the updates of a market are packed, committed to and settled: one class for each way in which a verification looks at them.

Data owner and model owner ask the market's scheme and need not know which it is. `scheme_for` chooses: terms say whether projections are
proven, and the code of their verification, which the chain shows, whether it computes distances itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..crypto.computed import computed_settlement, verify_computed
from ..crypto.curve import Points, parse_points
from ..crypto.digest import points_digest
from ..crypto.field import FieldVector, N
from ..crypto.fixedpoint import WEIGHTS_PER_POLYNOMIAL, Units, pack, unpack
from ..crypto.hashing import keccak256
from ..crypto.kzg import Sketch, commit, commit_units
from ..crypto.lanes import Lanes
from ..crypto.projection import COPIES, Projection, project
from ..crypto.prover import Proof, prove
from ..crypto.statement import Statement
from .terms import Terms

Sums = NDArray[np.int32] | NDArray[np.int64]
"""Units of a group's sum."""


class Scheme(ABC):
    """What data owner and model owner of a market do for its verification.

    Attributes
    ----------
    terms : Terms
        The market's.
    copies : int
        Factor by which squared distances come out too large.
    points : int
        Points that commit to a vector; 0 if its hash does.
    elements : int
        Field elements of a vector.
    places : int
        Weights that a vector has room for; rounding fills those after the last.
    public_sums : bool
        Whether everybody sees the sum of each group, and not its model owner alone.
    """

    copies = 1
    public_sums = False
    points: int
    elements: int
    places: int

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    @abstractmethod
    def pack(self, units: Units) -> FieldVector:
        """The vector of an update, still without a mask; `units` has shape (`places`,)."""

    @abstractmethod
    def read(self, total: FieldVector, *, members: int) -> Units | None:
        """The units of a group's sum; None if it is out of the range of so many honest updates."""

    def commit(self, vector: FieldVector) -> bytes:
        """The points of a vector, 96 bytes each; none if its hash commits to it."""
        return b""

    def commit_units(self, units: Units) -> bytes:
        """The points of the vector of an update without a mask: those of the mask are added to them."""
        return b""

    @abstractmethod
    def digest(self, vector: bytes, points: bytes) -> bytes:
        """What a data owner signs, 32 bytes."""

    def sketch(self, pieces: Iterable[FieldVector], points: Points, projected: bytes, seed: bytes) -> Sketch | None:
        """What `omnilytics_flwr.crypto.kzg.mismatched` needs of a delivery; None if its digest, which is checked already, says it all.

        Parameters
        ----------
        pieces : iterable of FieldVector
            The vector, in pieces of whole polynomials, each canonical; they are read to the end.
        projected : bytes
            Point of the projection; empty where nothing is projected.
        seed : bytes, length 32
            Of the round's projection.
        """
        for _ in pieces:
            pass
        return None

    def summed(self, pieces: Iterable[FieldVector], *, members: int, seed: bytes) -> tuple[FieldVector, Sums | None]:
        """What is proven of a group's sum, and its units, which are None if it is out of the range of so many honest updates.

        Parameters
        ----------
        pieces : iterable of FieldVector, at least one
            The sum of all members' vectors, in pieces of whole polynomials.
        seed : bytes, length 32
            As for `sketch`.
        """
        total = FieldVector.joined(pieces)
        return total, self.read(total, members=members)

    @abstractmethod
    def shown(self, vector: FieldVector, points: bytes) -> bytes:
        """What a settlement shows of a member that delivered these; `points` are the projection's where there is one."""

    @abstractmethod
    def settle(self, statement: Statement, proven: Sequence[FieldVector | None], members: Sequence[Sequence[bytes]]) -> Proof:
        """The settlement of a round, and what the verification will answer.

        Parameters
        ----------
        proven : sequence of FieldVector or None
            Of each group of the roster, as `summed` has it; None if it is outside.
        members : sequence of sequences of bytes
            Of each group, what is `shown` of each member by seat; its digest if the group is outside.
        """


class ExactScheme(Scheme):
    """All polynomials are committed to and proven: distances are exact."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.points = terms.polynomials
        self.elements = N * terms.polynomials
        self.places = WEIGHTS_PER_POLYNOMIAL * terms.polynomials

    def pack(self, units: Units) -> FieldVector:
        """Two weights to an element."""
        return pack(units)

    def read(self, total: FieldVector, *, members: int) -> Units | None:
        """As `pack` packs them."""
        return unpack(total, members=members, bits=self.terms.update_bits)

    def commit(self, vector: FieldVector) -> bytes:
        """A KZG commitment of each polynomial."""
        return commit(vector)

    def commit_units(self, units: Units) -> bytes:
        """The same in a fraction of the time."""
        return commit_units(units, bits=self.terms.update_bits)

    def digest(self, vector: bytes, points: bytes) -> bytes:
        """The root over the points."""
        return points_digest(points)

    def sketch(self, pieces: Iterable[FieldVector], points: Points, projected: bytes, seed: bytes) -> Sketch | None:
        """Of the vector against its points."""
        return Sketch.of(pieces, points)

    def shown(self, vector: FieldVector, points: bytes) -> bytes:
        """The points."""
        return points

    def settle(self, statement: Statement, proven: Sequence[FieldVector | None], members: Sequence[Sequence[bytes]]) -> Proof:
        """A proof of all distances."""
        return prove(statement, proven, members)


class ProjectedScheme(ExactScheme):
    """Everything is committed to, and a random projection to one polynomial is proven."""

    copies = COPIES

    def sketch(self, pieces: Iterable[FieldVector], points: Points, projected: bytes, seed: bytes) -> Sketch | None:
        """Of the vector against its points, and of its projection against its point."""
        projection = Projection(seed)
        of_vector = Sketch.of(projection.reading(pieces), points)
        return of_vector + Sketch.of([projection.result()], parse_points(projected, 1))

    def summed(self, pieces: Iterable[FieldVector], *, members: int, seed: bytes) -> tuple[FieldVector, Sums | None]:
        """The sum's projection, and its units; the sum itself is never there as a whole."""
        projection, at, in_range = Projection(seed), 0, True
        is_narrow = members << self.terms.update_bits - 1 < 1 << 31
        units: Sums = np.zeros(self.places, dtype=np.int32) if is_narrow else np.zeros(self.places, dtype=np.int64)
        for piece in projection.reading(pieces):
            read = self.read(piece, members=members) if in_range else None
            if read is None:
                in_range = False
                continue
            units[at : at + len(read)] = read
            at += len(read)
        return projection.result(), units if in_range else None


class HashedScheme(ProjectedScheme):
    """The same where nobody can be accused: no answer has to lead to a point, so that a vector's hash commits to it, much faster."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.points = 0

    def commit(self, vector: FieldVector) -> bytes:
        """No points."""
        return b""

    def commit_units(self, units: Units) -> bytes:
        """No points."""
        return b""

    def digest(self, vector: bytes, points: bytes) -> bytes:
        """The vector's hash."""
        return keccak256(vector)

    def sketch(self, pieces: Iterable[FieldVector], points: Points, projected: bytes, seed: bytes) -> Sketch | None:
        """Of the projection against its point."""
        return Sketch.of([project(pieces, seed)], parse_points(projected, 1))


class ComputedScheme(Scheme):
    """The masked vectors themselves are settled with, and the contract computes the distances: group sums are public."""

    points = 0
    public_sums = True

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._lanes = Lanes(terms.weights, terms.update_bits, terms.group_size)
        self.elements, self.places = self._lanes.elements, self._lanes.places

    def pack(self, units: Units) -> FieldVector:
        """As many weights to an element as fit."""
        return self._lanes.pack(units)

    def read(self, total: FieldVector, *, members: int) -> Units | None:
        """As `pack` packs them."""
        return self._lanes.read(total, members=members)

    def digest(self, vector: bytes, points: bytes) -> bytes:
        """The vector's hash."""
        return keccak256(vector)

    def shown(self, vector: FieldVector, points: bytes) -> bytes:
        """The vector."""
        return vector.to_bytes()

    def settle(self, statement: Statement, proven: Sequence[FieldVector | None], members: Sequence[Sequence[bytes]]) -> Proof:
        """All vectors."""
        settlement = computed_settlement(members)
        return Proof(settlement, verify_computed(statement, settlement, self._lanes))


def scheme_for(terms: Terms, *, computed: bool = False) -> Scheme:
    """The scheme of a market with these terms; `computed` says that their verification computes distances itself."""
    if computed:
        return ComputedScheme(terms)
    if not terms.projected:
        return ExactScheme(terms)
    return ProjectedScheme(terms) if terms.answer_seconds else HashedScheme(terms)
