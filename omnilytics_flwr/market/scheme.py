"""How the updates of a market are packed, committed to and settled: one class for each way in which a verification looks at them.

Data owner and model owner ask the market's scheme and need not know which it is. `scheme_for` chooses: terms say whether projections are
proven, and the code of their verification, which the chain shows, whether it computes distances itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ..crypto.computed import computed_settlement, verify_computed
from ..crypto.curve import Points, parse_points
from ..crypto.digest import points_digest
from ..crypto.field import FieldVector, N
from ..crypto.fixedpoint import WEIGHTS_PER_POLYNOMIAL, Units, pack, unpack
from ..crypto.hashing import keccak256
from ..crypto.kzg import commit, commit_units, mismatched
from ..crypto.lanes import Lanes
from ..crypto.projection import COPIES, project
from ..crypto.prover import Proof, prove
from ..crypto.statement import Statement
from .terms import Terms


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

    def mismatched(
        self, vectors: Sequence[FieldVector], points: Sequence[Points], projected: Sequence[bytes], seed: bytes
    ) -> tuple[int, ...]:
        """Which deliveries, all under their digests, do not hold together.

        Parameters
        ----------
        projected : sequence of bytes
            Points of the projections; empty where nothing is projected.
        seed : bytes, length 32
            Of the round's projection.
        """
        return ()

    def proven(self, total: FieldVector, seed: bytes) -> FieldVector:
        """What is proven of a group's sum; `seed` as for `mismatched`."""
        return total

    @abstractmethod
    def shown(self, vector: FieldVector, points: bytes) -> bytes:
        """What a settlement shows of a member that delivered these; `points` are the projection's where there is one."""

    @abstractmethod
    def settle(self, statement: Statement, proven: Sequence[FieldVector | None], members: Sequence[Sequence[bytes]]) -> Proof:
        """The settlement of a round, and what the verification will answer.

        Parameters
        ----------
        proven : sequence of FieldVector or None
            Of each group of the roster, as `proven` has it; None if it is outside.
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

    def mismatched(
        self, vectors: Sequence[FieldVector], points: Sequence[Points], projected: Sequence[bytes], seed: bytes
    ) -> tuple[int, ...]:
        """Whose vector is not what its points commit to."""
        return tuple(mismatched(vectors, points))

    def shown(self, vector: FieldVector, points: bytes) -> bytes:
        """The points."""
        return points

    def settle(self, statement: Statement, proven: Sequence[FieldVector | None], members: Sequence[Sequence[bytes]]) -> Proof:
        """A proof of all distances."""
        return prove(statement, proven, members)


class ProjectedScheme(ExactScheme):
    """Everything is committed to, and a random projection to one polynomial is proven."""

    copies = COPIES

    def mismatched(
        self, vectors: Sequence[FieldVector], points: Sequence[Points], projected: Sequence[bytes], seed: bytes
    ) -> tuple[int, ...]:
        """Whose vector is not what its points commit to, or not what was projected."""
        return tuple(sorted({*mismatched(vectors, points), *self._misprojected(vectors, projected, seed)}))

    def proven(self, total: FieldVector, seed: bytes) -> FieldVector:
        """Its projection."""
        return project(total, seed)

    def _misprojected(self, vectors: Sequence[FieldVector], projected: Sequence[bytes], seed: bytes) -> list[int]:
        return mismatched([project(vector, seed) for vector in vectors], [parse_points(point, 1) for point in projected])


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

    def mismatched(
        self, vectors: Sequence[FieldVector], points: Sequence[Points], projected: Sequence[bytes], seed: bytes
    ) -> tuple[int, ...]:
        """Whose vector is not what was projected."""
        return tuple(self._misprojected(vectors, projected, seed))


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
