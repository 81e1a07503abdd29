"""KZG commitments over Ethereum's ceremony, and their opening proofs (docs/specification/protocol.md section 5).

Commitments add as the vectors do. Proofs are those that the point evaluation precompile (EIP-4844, 0x0a) checks.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, reduce
from hashlib import sha256
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from ..errors import ToolMissing, WrongLength
from .ceremony import lagrange_points, tau_g2
from .curve import encode_point, multiply_sum
from .domain import quotient, roots
from .exact import combination, reduced
from .field import FieldVector, N
from .fixed_base import FixedBase
from .fixedpoint import HALF_BITS, Units, pack

BLOB_BYTES = 131_072
"""A polynomial as it travels, which is a blob (EIP-4844): 4096 field elements of 32 bytes. It takes as many units of blob gas."""

TAU_G1 = bytes.fromhex("ad3eb50121139aa34db1d545093ac9374ab7bca2c0f3bf28e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5a04c81")
"""tau times the generator of G1, compressed, as the ceremony has published it: the commitment of the polynomial X."""

_THREADS = 2
_COEFFICIENT_BITS = 128


def commit_polynomial(polynomial: FieldVector) -> G1Point:
    """Commitment of one polynomial, given by its N values in the order of a blob; runs beside other threads."""
    tables = _tables.after_one_more()
    return tables.multiply_sum(polynomial) if tables else multiply_sum(lagrange_points(), polynomial)


def commit(vector: FieldVector) -> bytes:
    """Commitments of the B polynomials of a vector of 4096 B elements, 96 bytes each, in a row."""
    return b"".join(map(encode_point, _commit_all(vector)))


def expect_commitments(count: int) -> None:
    """Say that so many commitments are about to be made, so that what speeds up many is made before the first."""
    _tables.expect(count)


def _commit_all(vector: FieldVector) -> list[G1Point]:
    lagrange_points()
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(commit_polynomial, vector.polynomials()))


class _Tables:
    """The ceremony's points as tables, once they pay: a process spends at most twice the least, however many commitments it makes."""

    LOADING = 20
    """Commitments by tables, in half of arkworks' time, that save what making them takes."""

    def __init__(self) -> None:
        self._made, self._is_tried, self._lock = 0, False, Lock()
        self._tables: FixedBase | None = None

    def expect(self, count: int) -> FixedBase | None:
        """The tables, made now if with so many more commitments they pay; None if arkworks is to make these."""
        with self._lock:
            return self._look(count)

    def after_one_more(self) -> FixedBase | None:
        """The same for one commitment, which counts."""
        with self._lock:
            tables = self._look(1)
            self._made += 1
            return tables

    def _look(self, count: int) -> FixedBase | None:
        if not self._is_tried and self._made + count > self.LOADING:
            self._is_tried = True
            self._tables = _agreeing(FixedBase.build(lagrange_points()))
        return self._tables


def _agreeing(tables: FixedBase | None) -> FixedBase | None:
    """The tables, if they commit as Ethereum's ceremony does; arkworks goes on if not."""
    return tables if tables and tables.multiply_sum(_roots_polynomial()).to_compressed_bytes() == TAU_G1 else None


def _roots_polynomial() -> FieldVector:
    """X, by its values on H."""
    return FieldVector.from_ints(list(roots()))


_tables = _Tables()


def commit_units(units: Units, *, bits: int) -> bytes:
    """Commitments of an unmasked update, like `commit` of ``pack(units)`` in a fraction of the time.

    Every unit is raised by m = 2^(b-1), so that scalars are short, and the commitment of the constant is taken away again. (A negative
    unit as such is a scalar of full length.)

    Parameters
    ----------
    units : int64 array, shape (8192 B,)
        Of one update, in [-M, M].
    bits : int
        b.
    """
    zero = 1 << bits - 1
    # The Lagrange polynomials sum to 1, so that a constant's commitment is a multiple of the generator.
    constant = G1Point() * Scalar(zero * (1 + (1 << HALF_BITS)))
    return b"".join(encode_point(point - constant) for point in _commit_all(pack(units + zero)))


@cache
def check_known_answer() -> None:
    """Check that this machine's library commits as Ethereum's does, before a stake depends on it.

    Raises
    ------
    ToolMissing
        It does not, or the ceremony's points are not here.
    """
    if multiply_sum(lagrange_points(), _roots_polynomial()).to_compressed_bytes() != TAU_G1:
        raise ToolMissing(
            "the installed py_arkworks_bls12381 commits the polynomial X to another point than Ethereum's ceremony; "
            "whoever answers an accusation with such points loses its stake: install the version that omnilytics_flwr names"
        )


def versioned_hash(commitment: bytes) -> bytes:
    """Hash under which a transaction names a blob (EIP-4844), from its commitment in compressed form."""
    return b"\x01" + sha256(commitment).digest()[1:]


def sum_points(rows: Sequence[Sequence[G1Point]]) -> list[G1Point]:
    """Column sums: the commitments of the sum of several members' vectors.

    Parameters
    ----------
    rows : sequence of sequences of G1Point
        The B points of each of at least one member.
    """
    total = list(rows[0])
    for row in rows[1:]:
        total = [left + right for left, right in zip(total, row, strict=True)]
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """What is kept of a vector to check it together with others: a secret random linear combination of its polynomials, and of its points.

    If the vector is what its points commit to, so is one of the other; otherwise with probability 2^-128. The same holds for sums.

    Attributes
    ----------
    columns : int64 array, shape (32, 4096)
        The combined polynomial, as `combination` has it.
    point : G1Point
    """

    columns: NDArray[np.int64]
    point: G1Point

    @classmethod
    def of(cls, pieces: Iterable[FieldVector], points: Sequence[G1Point]) -> Sketch:
        """The sketch of a vector that comes in pieces of whole polynomials.

        Parameters
        ----------
        points : sequence of G1Point, one for each polynomial
            From `parse_points`: points outside the subgroup could cancel here.

        Raises
        ------
        WrongLength
            There are more or fewer points than polynomials.
        """
        coefficients = [secrets.randbits(_COEFFICIENT_BITS) for _ in points]
        columns, read = combination([FieldVector.zeros(N)], [0]), 0
        for piece in pieces:
            polynomials = list(piece.polynomials())
            chosen = coefficients[read : read + len(polynomials)]
            read += len(polynomials)
            if len(chosen) < len(polynomials) or len(piece) % N:
                raise WrongLength("a vector, in polynomials,", read, len(points))
            columns += combination(polynomials, chosen)
        if read != len(points):
            raise WrongLength("a vector, in polynomials,", read, len(points))
        return cls(columns, multiply_sum(points, FieldVector.from_ints(coefficients)))

    def __add__(self, other: Sketch) -> Sketch:
        return Sketch(self.columns + other.columns, self.point + other.point)


def mismatched(sketches: Sequence[Sketch]) -> list[int]:
    """Which sketches are of vectors that are not what their points commit to.

    All are checked at once; whatever does not pass is halved. So no vector is read again, however many are wrong.

    Returns
    -------
    list of int, ascending
        Empty if all is well.
    """
    return _mismatched(sketches, range(len(sketches)))


def _mismatched(sketches: Sequence[Sketch], chosen: Sequence[int]) -> list[int]:
    if not chosen:
        return []
    total = reduce(Sketch.__add__, [sketches[i] for i in chosen])
    if commit_polynomial(reduced(total.columns)) == total.point:
        return []
    if len(chosen) == 1:
        return list(chosen)
    middle = len(chosen) // 2
    return _mismatched(sketches, chosen[:middle]) + _mismatched(sketches, chosen[middle:])


def prove_opening(polynomial: FieldVector, point: int, value: int) -> bytes:
    """Proof that a polynomial, given by its values on H, has ``value`` at ``point``; 48 bytes.

    It is a proof only if the value is right, see `omnilytics_flwr.crypto.domain.evaluation_weights`.
    """
    return commit_polynomial(quotient(polynomial.to_ints(), point, value)).to_compressed_bytes()


def opens(commitment: bytes, point: int, value: int, proof: bytes) -> bool:
    """Whether the committed polynomial has this value at this point.

    Parameters
    ----------
    commitment : bytes
        Compressed; anything but 48 bytes of a point of the subgroup opens to nothing.
    point, value : int, 0 .. R - 1
    proof : bytes
        Compressed, the same holds.
    """
    try:
        committed, witness = G1Point.from_compressed_bytes(commitment), G1Point.from_compressed_bytes(proof)
    except ValueError:
        return False
    left = committed - G1Point() * Scalar(value) + witness * Scalar(point)
    return GT.pairing_check([left, -witness], [G2Point(), tau_g2()])
