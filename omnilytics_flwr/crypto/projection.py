"""Random projection of a vector to one polynomial (docs/specification/protocol.md section 6).

A sparse Johnson-Lindenstrauss transform (Kane and Nelson, "Sparser Johnson-Lindenstrauss Transforms", J. ACM 2014): each element is
added, with a random sign, at one random place in each of s copies. Squared lengths come out s times as large, within a few percent.
The map is linear over the field, so that masks still cancel and commitments still add. It must be fixed only after everybody has
committed: whoever knows it before finds updates that it shortens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .exact import join_digits
from .field import FieldVector, Limbs, N, R
from .hashing import keccak256, tag
from .keystream import Keystream

COPIES = 4
"""s."""

_PIECE = N // COPIES
_SIGN_BYTES = COPIES * N // 8
_DIGIT_BITS = 32


def projection_seed(context: bytes, roster_hash: bytes) -> bytes:
    """Seed of a round's projection, 32 bytes; known once the round is open.

    Parameters
    ----------
    context : bytes, length 32
        What a settlement of the round is bound to.
    roster_hash : bytes, length 32
    """
    return keccak256(tag("projection") + context + roster_hash)


class Projection:
    """The projection of a vector that comes in pieces of whole polynomials.

    Parameters
    ----------
    seed : bytes, length 32
        From `projection_seed`.
    """

    def __init__(self, seed: bytes) -> None:
        self._copies = _copies(seed)
        self._digits = np.zeros((N, 256 // _DIGIT_BITS), dtype=np.int64)

    def reading(self, pieces: Iterable[FieldVector]) -> Iterator[FieldVector]:
        """Hand pieces on, and add each to the projection."""
        for piece in pieces:
            self.add(piece)
            yield piece

    def add(self, piece: FieldVector) -> None:
        """Add the next piece, masked or not; all pieces together are at most 2^26 polynomials."""
        for polynomial in piece.polynomials():
            positive, negated = _digits(polynomial.limbs), _digits((-polynomial).limbs)
            for rotation, signs in zip(*next(self._copies), strict=True):
                # Sums of at most 2^28 digits of 32 bits stay below 2^60.
                self._digits += np.roll(np.where(signs[:, None], negated, positive), rotation, axis=0)

    def result(self) -> FieldVector:
        """The projection of all pieces; 4096 elements."""
        return FieldVector.from_ints(value % R for value in join_digits(self._digits.T, _DIGIT_BITS))


def project(vector: FieldVector | Iterable[FieldVector], seed: bytes) -> FieldVector:
    """The projection of a vector of length 4096 B, or of its pieces; 4096 elements."""
    projection = Projection(seed)
    for piece in [vector] if isinstance(vector, FieldVector) else vector:
        projection.add(piece)
    return projection.result()


def _copies(seed: bytes) -> Iterator[tuple[Sequence[int], NDArray[np.bool_]]]:
    """For each polynomial the rotation of each copy, and which elements of it change their sign, shape (s, 4096)."""
    stream = Keystream(seed)
    while True:
        words = np.frombuffer(stream.read(2 * COPIES), dtype="<u2")
        # Each rotation has a quarter of the places to itself: the copies of one element never fall on each other.
        rotations = [_PIECE * copy + int(drawn) % _PIECE for copy, drawn in enumerate(words)]
        bits = np.unpackbits(np.frombuffer(stream.read(_SIGN_BYTES), dtype=np.uint8), bitorder="little")
        yield rotations, bits.reshape(COPIES, N).astype(np.bool_)


def _digits(limbs: Limbs) -> NDArray[np.int64]:
    """Digits of 32 bits of each element, least first; shape (n, 8)."""
    return limbs.astype("<u8").view("<u4").reshape(len(limbs), -1).astype(np.int64)
