"""The settlement of the sumcheck verification as one flat string (table in docs/specification/protocol.md section 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .curve import COMPRESSED_BYTES, POINT_BYTES
from .digest import points_digest
from .hashing import word
from .statement import Statement, VerificationWrongLength, pairs

WORD_BYTES = 32


@dataclass(frozen=True, slots=True)
class Argument:
    """What proves the distances of at least one group.

    Attributes
    ----------
    values : tuple of int
        V of every pair; canonical or not, as they came.
    quotient, remainder, tail : bytes, length 96
        C_q, C_f and C_e.
    evaluations : tuple of int
        y of every group and polynomial; canonical or not.
    proof : bytes, length 48
        That the fold opens at z.
    """

    values: tuple[int, ...]
    quotient: bytes
    remainder: bytes
    tail: bytes
    evaluations: tuple[int, ...]
    proof: bytes


@dataclass(frozen=True, slots=True)
class Settlement:
    """A settlement taken apart; nothing but its lengths is checked.

    Attributes
    ----------
    members : tuple of tuples of bytes
        For each roster position, for each member by seat: its points (96 P bytes), or its digest (32) if the group is outside.
    argument : Argument or None
        None if no group takes part.
    """

    members: tuple[tuple[bytes, ...], ...]
    argument: Argument | None

    def digests(self, statement: Statement) -> tuple[bytes, ...]:
        """Digest of each member."""
        return tuple(row if statement.is_outside(i) else points_digest(row) for i, group in enumerate(self.members) for row in group)

    def to_bytes(self) -> bytes:
        """The flat string."""
        parts = [row for group in self.members for row in group]
        if self.argument is not None:
            a = self.argument
            parts += [*map(word, a.values), a.quotient, a.remainder, a.tail, *map(word, a.evaluations), a.proof]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, raw: bytes, statement: Statement) -> Settlement:
        """Take a flat string apart.

        Raises
        ------
        VerificationWrongLength
            The string is not as long as the statement demands. Likewise for a statement without polynomials, or with a group of
            less than two: there is nothing to prove, and no part of a settlement may be empty.
        """
        if statement.polynomials == 0:
            raise VerificationWrongLength(0, 1)
        lonely = next((size for size in statement.sizes if size < 2), None)
        if lonely is not None:
            raise VerificationWrongLength(lonely, 2)
        row_bytes = [WORD_BYTES if statement.is_outside(i) else POINT_BYTES * statement.polynomials for i in range(len(statement.sizes))]
        groups = len(statement.taking_part())
        expected = sum(size * row for size, row in zip(statement.sizes, row_bytes, strict=True))
        expected += _argument_bytes(groups, statement.polynomials)
        if len(raw) != expected:
            raise VerificationWrongLength(len(raw), expected)
        reader = _Reader(raw)
        members = tuple(tuple(reader.take(row) for _ in range(size)) for size, row in zip(statement.sizes, row_bytes, strict=True))
        return cls(members, _argument(reader, groups, statement.polynomials) if groups else None)


class _Reader:
    """Cuts a string of known length from left to right."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def take(self, length: int) -> bytes:
        start, self._at = self._at, self._at + length
        return self._raw[start : self._at]

    def words(self, count: int) -> Iterator[int]:
        for _ in range(count):
            yield int.from_bytes(self.take(WORD_BYTES), "big")


def _argument(reader: _Reader, groups: int, polynomials: int) -> Argument:
    return Argument(
        values=tuple(reader.words(len(list(pairs(groups))))),
        quotient=reader.take(POINT_BYTES),
        remainder=reader.take(POINT_BYTES),
        tail=reader.take(POINT_BYTES),
        evaluations=tuple(reader.words(groups * polynomials)),
        proof=reader.take(COMPRESSED_BYTES),
    )


def _argument_bytes(groups: int, polynomials: int) -> int:
    if groups == 0:
        return 0
    words = groups * (groups + 1) // 2 + groups * polynomials
    return WORD_BYTES * words + 3 * POINT_BYTES + COMPRESSED_BYTES
