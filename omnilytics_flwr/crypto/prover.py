"""The prover of a settlement (docs/specification/protocol.md section 7).

With x_g = s_g A_g, the scaled sum of a group's vectors, and x_0 = 0,

    R = sum over pairs p = (i, k) of rho^p (x_i - x_k)^2 = sum over i, j of M_ij x_i x_j,

summed over the polynomials. On H its values are those of f. The quotient q = (R - f) / (X^N - 1) has on H, by l'Hopital's
rule, the values (theta(R) - theta(f)) / N with theta(A) = X A', and theta(R) = 2 sum_ij M_ij x_i theta(x_j), theta(x_j) = s_j
theta(A_j): no larger domain is needed. e = (f - f(0)) / X shows that f is of the right degree and has the right constant term. Nothing rests on the sums being in range: whatever they are, V is proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import WrongLength
from .curve import encode_point, parse_points
from .domain import INVERSE_N, evaluation_weights, quotient, theta
from .exact import combine, field_gram, inner_products
from .field import FieldVector, Integers, N, R
from .kzg import commit_polynomial, prove_opening, sum_points
from .settlement import Argument, Settlement
from .statement import Statement, Verdict, distance_of, pairs
from .transcript import challenge_gamma, challenge_rho, challenge_z

_THREADS = 2


@dataclass(frozen=True, slots=True)
class Proof:
    """A settlement, and what the verification will answer.

    Attributes
    ----------
    settlement : bytes
        The flat string for the verification.
    verdict : Verdict
    """

    settlement: bytes
    verdict: Verdict


def prove(statement: Statement, sums: Sequence[FieldVector | None], members: Sequence[Sequence[bytes]]) -> Proof:
    """Build the settlement of a round.

    Parameters
    ----------
    statement : Statement
        What the market asks.
    sums : sequence of FieldVector or None
        For each roster position the sum of its members' vectors, or of their projections, length 4096 P; None if the group is outside.
    members : sequence of sequences of bytes
        For each roster position, for each member by seat: its points (96 P bytes), or its digest (32) if the group is outside.

    Returns
    -------
    Proof

    Raises
    ------
    WrongLength
        Vectors, members or points are not as many as the statement says.
    BadPoint
        A member's point is not one of the subgroup.
    """
    rows = tuple(map(tuple, members))
    _check_shape(statement, sums, rows)
    taking = statement.taking_part()
    points = [point for i in taking for point in sum_points([parse_points(row, statement.polynomials) for row in rows[i]])]
    vectors = [vector for i in taking if (vector := sums[i]) is not None]
    argument = _argue(statement, vectors, list(map(encode_point, points))) if taking else None
    settlement = Settlement(rows, argument)
    distances = tuple(map(distance_of, argument.values)) if argument else ()
    return Proof(settlement.to_bytes(), Verdict(settlement.digests(statement), distances))


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


def _argue(statement: Statement, sums: list[FieldVector], points: list[bytes]) -> Argument:
    scale = statement.scale()
    factors = [scale // statement.sizes[i] for i in statement.taking_part()]
    values = pair_values(sums, factors)
    rho = challenge_rho(statement, points=points, values=values)
    polynomials = [list(vector.polynomials()) for vector in sums]
    committed = _divide(factors, polynomials, _matrix(len(sums), rho.scalar))
    with ThreadPoolExecutor(_THREADS) as pool:
        c_q, c_f, c_e = map(encode_point, pool.map(commit_polynomial, committed))
    challenge = challenge_z(rho, quotient=c_q, remainder=c_f, tail=c_e)
    z, opened = challenge.scalar, [polynomial for row in polynomials for polynomial in row]
    evaluations = inner_products(opened, evaluation_weights(z))
    gamma = challenge_gamma(challenge, evaluations=evaluations).scalar
    *powers, first, second = (pow(gamma, i, R) for i in range(len(opened) + 2))
    factors = [*powers, first * (pow(z, N, R) - 1) % R, (first + second) % R, -second * z % R]
    fold = combine([*opened, *committed], factors)
    (value,) = inner_products([fold], evaluation_weights(z))
    return Argument(values, c_q, c_f, c_e, tuple(evaluations), prove_opening(fold, z, value))


def pair_values(sums: Sequence[FieldVector], factors: Sequence[int]) -> tuple[int, ...]:
    """V of every pair: the sum over all elements of the squared difference of the scaled sums."""
    products = field_gram(sums)

    def product(i: int, k: int) -> int:
        """Inner product of two scaled sums, 0 being the zero update."""
        return factors[i - 1] * factors[k - 1] * products[i - 1][k - 1] if i and k else 0

    return tuple((product(i, i) + product(k, k) - 2 * product(i, k)) % R for i, k in pairs(len(sums)))


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


def _divide(factors: list[int], polynomials: list[list[FieldVector]], matrix: Integers) -> tuple[FieldVector, ...]:
    """q, f and e, by their values on H."""
    remainder, slope = np.zeros((2, N), dtype=object)
    column: NDArray[np.object_] = np.array(factors, dtype=object)[:, None]
    for k in range(len(polynomials[0])):
        x = column * np.array([row[k].to_ints() for row in polynomials], dtype=object)
        mixed = matrix.dot(x) % R
        remainder += (x * mixed).sum(axis=0)
        slope += (mixed * (column * np.stack([theta(row[k]) for row in polynomials]))).sum(axis=0)
    remainder %= R
    f = FieldVector.from_ints(remainder)
    q = (2 * slope - theta(f)) * INVERSE_N % R
    constant = sum(f.to_ints()) * INVERSE_N % R
    return FieldVector.from_ints(q), f, quotient(f.to_ints(), 0, constant)
