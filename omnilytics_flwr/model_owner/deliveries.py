"""Deliveries: each is checked as it comes and kept on disk, and whole groups are added up; no two vectors are in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..crypto.curve import parse_points
from ..crypto.field import ELEMENT_BYTES, FieldVector
from ..crypto.kzg import mismatched
from ..errors import WrongLength
from ..market.market_view import Member
from ..market.scheme import Scheme
from ..market.terms import Address
from .decision import GroupSum
from .live_round import Delivered, LiveRound, Metrics
from .round_journal import RoundJournal
from .vector_files import pieces_of


class Deliveries:
    """Checks deliveries to the rounds of a journal, and adds them up.

    A disk that fails must not cost the round: what cannot be read counts as not delivered. `on_trouble` is called with a sentence then.
    """

    def __init__(self, journal: RoundJournal, scheme: Scheme, on_trouble: Callable[[str], None]) -> None:
        self._journal = journal
        self._scheme = scheme
        self._on_trouble = on_trouble

    def check(
        self, vector: bytes, points: bytes, projected: bytes = b"", signature: bytes = b"", metrics: Metrics | None = None, *, seed: bytes
    ) -> Delivered:
        """A delivery from its bytes, with a sketch for `mismatched`; raises `WireError`.

        Parameters
        ----------
        seed : bytes, length 32
            Of the round's projection.
        """
        expected = ELEMENT_BYTES * self._scheme.elements
        if len(vector) != expected:
            raise WrongLength("a vector of field elements, in bytes,", len(vector), expected)
        parsed = parse_points(points, self._scheme.points)
        sketch = self._scheme.sketch(pieces_of(vector, self._scheme.elements), parsed, projected, seed)
        return Delivered(points, projected, signature, metrics or {}, sketch, seed)

    def keep(self, live: LiveRound, owner: Address, delivered: Delivered, vector: bytes) -> None:
        """Keep a delivery that was checked, and add its group up if it is the last one of it."""
        self._journal.add_delivery(live, owner, delivered, vector)
        group = next(group for group in live.roster_groups() if owner in {member.owner for member in group})
        if all(member.owner in live.deliveries for member in group):
            self._group_sum(live, group, delivered.seed)

    def mismatched(self, live: LiveRound, seed: bytes) -> tuple[Address, ...]:
        """Data owners whose vector is not what their points commit to, or whose projected point is not that of its projection."""
        owners, sketches, lost = [], [], []
        for owner, delivered in live.deliveries.items():
            if delivered.seed != seed and not self._sketch_again(live, owner, delivered, seed):
                lost.append(owner)
            elif delivered.sketch is not None:
                owners.append(owner)
                sketches.append(delivered.sketch)
        return (*lost, *(owners[place] for place in mismatched(sketches)))

    def _sketch_again(self, live: LiveRound, owner: Address, delivered: Delivered, seed: bytes) -> bool:
        """Sketch what an earlier process was given; whether it could be read."""
        try:
            parsed = parse_points(delivered.points, self._scheme.points)
            delivered.sketch = self._scheme.sketch(self._pieces(live, owner), parsed, delivered.projected, seed)
        except Exception as error:
            self._on_trouble(f"the delivery of {owner} cannot be read again: {error!r}")
            return False
        delivered.seed = seed
        return True

    def group_sums(self, live: LiveRound, seed: bytes) -> list[GroupSum]:
        """The groups of the roster as they are decided on; `seed` as for `check`."""
        return [self._group_sum(live, group, seed) for group in live.roster_groups()]

    def _group_sum(self, live: LiveRound, group: tuple[Member, ...], seed: bytes) -> GroupSum:
        digests = tuple(live.commitments[member.owner].digest for member in group)
        if any(member.owner not in live.deliveries for member in group):
            return GroupSum(digests, None, (), None)
        made = live.sums.get(digests)
        if made is not None and made[0] == seed:
            return made[1]
        try:
            with live.timed("sum"):
                rows = zip(*(self._pieces(live, member.owner) for member in group), strict=True)
                proven, units = self._scheme.summed(map(FieldVector.total, rows), members=len(group), seed=seed)
                total = GroupSum(digests, proven, tuple(self._shown(live, member.owner) for member in group), units)
        except Exception as error:
            self._on_trouble(f"the group of {group[0].owner} cannot be added up, and is waived: {error!r}")
            return GroupSum(digests, None, (), None)
        live.sums[digests] = (seed, total)
        return total

    def _shown(self, live: LiveRound, owner: Address) -> bytes:
        if self._scheme.public_sums:
            return self._scheme.shown(FieldVector.joined(self._pieces(live, owner)), b"")
        return live.deliveries[owner].shown

    def _pieces(self, live: LiveRound, owner: Address) -> Iterator[FieldVector]:
        return self._journal.pieces(live, owner)
