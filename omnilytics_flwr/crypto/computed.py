"""The computed verification (docs/specification/protocol.md section 9): the masked vectors are the settlement, and the distances follow from them.

The twin of the Solidity one. It makes two checks: that the length is right (`VerificationWrongLength`), and the range of each group's sum;
a group whose sum is out of range is `FAR` from everybody. Whether the digests in the verdict are what members signed is for the market.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from .exact import exact_distances
from .field import ELEMENT_BYTES, FieldVector, R
from .fixedpoint import Units
from .hashing import keccak256
from .lanes import Lanes
from .statement import Statement, Verdict, VerificationWrongLength, pairs

FAR = 1 << 128
"""Squared distance of a group whose sum is out of range, to the zero update and to every other group; beyond every norm bound."""

DIGEST_BYTES = 32


def computed_settlement(members: Sequence[Sequence[bytes]]) -> bytes:
    """The settlement: for each roster position, for each member by seat, its masked vector, or its digest if the group is outside."""
    return b"".join(row for group in members for row in group)


def verify_computed(statement: Statement, settlement: bytes, lanes: Lanes) -> Verdict:
    """Sum, check and compare the vectors of a settlement; `lanes` are those of the market's terms.

    Raises
    ------
    VerificationWrongLength
        The settlement has not the length that statement and lanes demand.
    """
    lengths = [DIGEST_BYTES if statement.is_outside(i) else ELEMENT_BYTES * lanes.elements for i in range(len(statement.sizes))]
    each = [length for length, size in zip(lengths, statement.sizes, strict=True) for _ in range(size)]
    if len(settlement) != sum(each):
        raise VerificationWrongLength(len(settlement), sum(each))
    rows = [settlement[end - length : end] for length, end in zip(each, accumulate(each), strict=True)]
    groups = list(_cut(rows, statement.sizes))
    digests = tuple(row if statement.is_outside(i) else keccak256(row) for i, group in enumerate(groups) for row in group)
    taking = statement.taking_part()
    units = [lanes.read(_sum(groups[i]), members=statement.sizes[i]) for i in taking]
    return Verdict(digests, _distances(units, [statement.sizes[i] for i in taking], lanes))


def _cut(rows: Sequence[bytes], sizes: Sequence[int]) -> Iterator[Sequence[bytes]]:
    for size, end in zip(sizes, accumulate(sizes), strict=True):
        yield rows[end - size : end]


def _sum(vectors: Sequence[bytes]) -> FieldVector:
    """Sum modulo r of vectors whose words may be any."""
    numbers = [[int.from_bytes(raw[i : i + ELEMENT_BYTES], "big") for i in range(0, len(raw), ELEMENT_BYTES)] for raw in vectors]
    return FieldVector.from_ints(sum(column) % R for column in zip(*numbers, strict=True))


def _distances(units: Sequence[Units | None], sizes: Sequence[int], lanes: Lanes) -> tuple[int, ...]:
    nothing = np.zeros(lanes.places, dtype=np.int64)
    found = exact_distances([nothing if one is None else one for one in units], sizes)
    wrong = {place for place, one in enumerate(units, start=1) if one is None}
    return tuple(FAR if {i, k} & wrong else distance for (i, k), distance in zip(pairs(len(units)), found, strict=True))
