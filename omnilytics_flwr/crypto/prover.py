"""The prover of a settlement (docs/protocol.md section 7).

With x_g = s_g A_g - L (m + 2^84 m), the scaled sum less the zero update, and x_0 = 0,

    R = sum over pairs p = (i, k) of rho^p (x_i - x_k)^2 = sum over i, j of M_ij x_i x_j,

summed over the polynomials. On H its values are those of f. The quotient q = (R - f) / (X^N - 1) has on H, by l'Hopital's
rule, the values (theta(R) - theta(f)) / N with theta(A) = X A', and theta(R) = 2 sum_ij M_ij x_i theta(x_j), theta(x_j) = s_j
theta(A_j): no larger domain is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import WrongLength
from .curve import encode_point, parse_points
from .domain import INVERSE_N, evaluation_weights, roots, theta
from .exact import Signed, combine, gram, inner_products
from .field import FieldVector, Integers, N, R
from .fixedpoint import HALF_BITS, Units, first_out_of_range, unpack, zero_unit
from .kzg import commit_polynomial, prove_opening, sum_points
from .settlement import Argument, Exclusion, Settlement, roster_hash_of
from .statement import Statement, Verdict, VerificationWrongRoster, distance_of, pairs
from .transcript import challenge_gamma, challenge_rho, challenge_z

_THREADS = 2


@dataclass(frozen=True, slots=True)
class Proof:
    """A settlement and what the prover learnt on the way.

    Attributes
    ----------
    settlement : bytes
        The flat string for the verification.
    verdict : Verdict
        What the verification will answer.
    values : tuple of int
        V of every pair.
    taking_part : tuple of int
        Roster positions of the groups taking part.
    sums : tuple of uint64 arrays, shape (8192 B,)
        Sum of quantised updates of each group taking part.
    """

    settlement: bytes
    verdict: Verdict
    values: tuple[int, ...]
    taking_part: tuple[int, ...]
    sums: tuple[Units, ...]


def prove(statement: Statement, vectors: Sequence[FieldVector | None], members: Sequence[Sequence[bytes]]) -> Proof:
    """Build the settlement of a round, excluding every group whose sum is out of range.

    Parameters
    ----------
    statement : Statement
        What the market asks.
    vectors : sequence of FieldVector or None
        For each roster position the sum of its members' delivered vectors, length 4096 B; None if the group is outside.
    members : sequence of sequences of bytes
        For each roster position, for each member by seat: its points (128 B bytes), or its digest (32) if the group is outside.

    Returns
    -------
    Proof

    Raises
    ------
    WrongLength
        Vectors, members or points are not as many as the statement says.
    BadPoint
        A member's point is not one of the subgroup.
    VerificationWrongRoster
        The members' points are not those that the round was opened with.
    """
    rows = tuple(map(tuple, members))
    _check_shape(statement, vectors, rows)
    points = {i: sum_points([parse_points(row, statement.polynomials) for row in rows[i]]) for i in statement.taking_part()}
    actual = roster_hash_of(statement, rows)
    if actual != statement.roster_hash:
        raise VerificationWrongRoster(actual, statement.roster_hash)
    sums = {i: vector for i, vector in enumerate(vectors) if vector is not None and not statement.is_outside(i)}
    exclusions = tuple(exclusion for i, vector in sums.items() if (exclusion := _exclude(statement, i, vector)) is not None)
    excluded = sum(1 << exclusion.position for exclusion in exclusions)
    taking = statement.taking_part(excluded)
    encoded = [encode_point(point) for i in taking for point in points[i]]
    argument = _argue(statement, excluded, [sums[i] for i in taking], encoded) if taking else None
    values = argument.values if argument else ()
    return Proof(
        settlement=Settlement(rows, exclusions, argument).to_bytes(),
        verdict=Verdict(excluded, tuple(map(distance_of, values))),
        values=values,
        taking_part=taking,
        sums=tuple(unpack(sums[i]) for i in taking),
    )


def _check_shape(statement: Statement, vectors: Sequence[FieldVector | None], members: Sequence[Sequence[bytes]]) -> None:
    groups = len(statement.sizes)
    for what, actual in (("the list of group sums", len(vectors)), ("the list of groups' points", len(members))):
        if actual != groups:
            raise WrongLength(what, actual, groups)
    for position, size in enumerate(statement.sizes):
        if len(members[position]) != size:
            raise WrongLength(f"the list of points of the group at position {position}", len(members[position]), size)
        vector, length = vectors[position], N * statement.polynomials
        if not statement.is_outside(position) and (vector is None or len(vector) != length):
            raise WrongLength(f"the sum of the group at position {position}", 0 if vector is None else len(vector), length)


def _exclude(statement: Statement, position: int, vector: FieldVector) -> Exclusion | None:
    place = first_out_of_range(vector, members=statement.sizes[position], bits=statement.update_bits)
    if place is None:
        return None
    polynomial, index = place
    values = list(vector.polynomials())[polynomial]
    value = values.to_ints()[index]
    return Exclusion(position, polynomial, index, value, prove_opening(values, roots()[index], value))


def _argue(statement: Statement, excluded: int, sums: list[FieldVector], points: list[bytes]) -> Argument:
    taking, scale = statement.taking_part(excluded), statement.scale(excluded)
    factors = [scale // statement.sizes[i] for i in taking]
    centred = np.stack(
        [
            factor * (unpack(vector).astype(np.int64) - scale // factor * zero_unit(statement.update_bits))
            for factor, vector in zip(factors, sums, strict=True)
        ]
    )
    values = _values(centred[:, ::2], centred[:, 1::2])
    rho = challenge_rho(statement, excluded=excluded, points=points, values=values)
    polynomials = [list(vector.polynomials()) for vector in sums]
    quotient, remainder = _divide(centred, factors, polynomials, _matrix(len(taking), rho.scalar))
    opened = [polynomial for row in polynomials for polynomial in row] + [quotient, remainder]
    with ThreadPoolExecutor(_THREADS) as pool:
        commitments = [pool.submit(commit_polynomial, polynomial) for polynomial in (quotient, remainder)]
        constant = pool.submit(prove_opening, remainder, 0, sum(remainder.to_ints()) * INVERSE_N % R)
        c_q, c_f = (encode_point(commitment.result()) for commitment in commitments)
        z = challenge_z(rho, quotient=c_q, remainder=c_f)
        evaluations = inner_products(opened, evaluation_weights(z.scalar))
        gamma = challenge_gamma(z, evaluations=evaluations).scalar
        powers = [pow(gamma, i, R) for i in range(len(opened))]
        value = sum(power * y for power, y in zip(powers, evaluations, strict=True)) % R
        fold = prove_opening(combine(opened, powers), z.scalar, value)
        return Argument(values, c_q, c_f, tuple(evaluations), fold, constant.result())


def _values(low: Signed, high: Signed) -> tuple[int, ...]:
    """V of every pair, from the halves of every group's centred, scaled sum; shape (G', 4096 B) each."""
    zero = np.zeros((1, low.shape[1]), dtype=np.int64)
    products = gram(np.concatenate([zero, low, zero, high]))
    offset = len(low) + 1

    def product(i: int, k: int, left: int, right: int) -> int:
        """Inner product of the differences of groups i and k, of the halves that start at rows `left` and `right`."""
        own = products[left + i][right + i] + products[left + k][right + k]
        return own - products[left + i][right + k] - products[left + k][right + i]

    return tuple(
        product(i, k, 0, 0) + (product(i, k, 0, offset) << HALF_BITS + 1) + (product(i, k, offset, offset) << 2 * HALF_BITS)
        for i, k in pairs(len(low))
    )


def _matrix(groups: int, rho: int) -> Integers:
    """M with R = sum_ij M_ij x_i x_j; shape (G', G')."""
    matrix = np.zeros((groups + 1, groups + 1), dtype=object)
    power = 1
    for i, k in pairs(groups):
        matrix[i, i] += power
        matrix[k, k] += power
        matrix[i, k] -= power
        matrix[k, i] -= power
        power = power * rho % R
    return matrix[1:, 1:] % R


def _divide(centred: Signed, factors: list[int], polynomials: list[list[FieldVector]], matrix: Integers) -> tuple[FieldVector, FieldVector]:
    """q and f, by their values on H."""
    remainder, slope = np.zeros((2, N), dtype=object)
    column: NDArray[np.object_] = np.array(factors, dtype=object)[:, None]
    for k in range(len(polynomials[0])):
        part = centred[:, 2 * N * k : 2 * N * (k + 1)].astype(object)
        x = part[:, ::2] + (part[:, 1::2] << HALF_BITS)
        mixed = matrix.dot(x) % R
        remainder += (x * mixed).sum(axis=0)
        slope += (mixed * (column * np.stack([theta(row[k]) for row in polynomials]))).sum(axis=0)
    remainder %= R
    f = FieldVector.from_ints(remainder)
    q = (2 * slope - theta(f)) * INVERSE_N % R
    return FieldVector.from_ints(q), f
