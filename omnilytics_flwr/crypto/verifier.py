"""The verifier of a settlement: the twin, check by check, of the Solidity one (docs/specification/protocol.md section 7).

The order of the checks decides which refusal a settlement with several faults gets:

1. the statement has polynomials, and groups of at least two, and the length is right (`VerificationWrongLength`);
2. if any group takes part: the points of its members on the curve (`VerificationBadPoint`);
3. all V, then all y canonical (`VerificationNotCanonical`);
4. every point of the fold canonical, on the curve and in the subgroup (`VerificationBadPoint`);
5. the fold opens at z (`VerificationWrongOpening`).

Whether the digests in the verdict are what members signed is for the market to check.
"""

from __future__ import annotations

from collections.abc import Sequence

from py_arkworks_bls12381 import G1Point

from .curve import POINT_BYTES, compress, decode_on_curve, encode_point, multiply_sum
from .domain import INVERSE_N
from .field import FieldVector, N, R
from .kzg import opens
from .settlement import Argument, Settlement
from .statement import (
    Statement,
    Verdict,
    VerificationBadPoint,
    VerificationNotCanonical,
    VerificationWrongOpening,
    distance_of,
    pairs,
)
from .transcript import challenge_gamma, challenge_rho, challenge_z


def verify(statement: Statement, settlement: bytes) -> Verdict:
    """Check a settlement against a statement.

    Parameters
    ----------
    statement : Statement
        What must hold.
    settlement : bytes
        The flat string.

    Raises
    ------
    Refusal
        One of the ``Verification`` classes, in the order that the module tells.
    """
    parts = Settlement.from_bytes(settlement, statement)
    digests = parts.digests(statement)
    if parts.argument is None:
        return Verdict(digests, ())
    points = [_sum_at(parts.members[i], k) for i in statement.taking_part() for k in range(statement.polynomials)]
    for scalar in (*parts.argument.values, *parts.argument.evaluations):
        _check_canonical(scalar)
    _check_argument(statement, points, parts.argument)
    return Verdict(digests, tuple(map(distance_of, parts.argument.values)))


def _sum_at(members: Sequence[bytes], polynomial: int) -> bytes:
    """P of a group: the sum of its members' points of one polynomial, 96 bytes."""
    start = POINT_BYTES * polynomial
    points = [_on_curve(row[start : start + POINT_BYTES]) for row in members]
    return encode_point(sum(points[1:], start=points[0]))


def _check_argument(statement: Statement, points: list[bytes], argument: Argument) -> None:
    rho = challenge_rho(statement, points=points, values=argument.values)
    challenge = challenge_z(rho, quotient=argument.quotient, remainder=argument.remainder, tail=argument.tail)
    z, gamma = challenge.scalar, challenge_gamma(challenge, evaluations=argument.evaluations).scalar
    folded = [_in_subgroup(point) for point in (*points, argument.quotient, argument.remainder, argument.tail)]
    *powers, first, second = (pow(gamma, i, R) for i in range(len(points) + 2))
    # What the settlement claims of (z^N - 1) q + f and of f - z e, at z.
    combination = _combination(statement, argument.evaluations, rho.scalar)
    constant = sum(pow(rho.scalar, p, R) * value for p, value in enumerate(argument.values)) * INVERSE_N
    value = sum(power * y for power, y in zip(powers, argument.evaluations, strict=True)) + first * combination + second * constant
    factors = [*powers, first * (pow(z, N, R) - 1) % R, (first + second) % R, -second * z % R]
    fold = multiply_sum(folded, FieldVector.from_ints(factors))
    if not opens(compress(encode_point(fold)), z, value % R, argument.proof):
        raise VerificationWrongOpening()


def _combination(statement: Statement, evaluations: Sequence[int], rho: int) -> int:
    """R(z) from the evaluations of the group sums."""
    groups, polynomials, scale = statement.taking_part(), statement.polynomials, statement.scale()
    scaled = [[0] * polynomials]
    for row, position in enumerate(groups):
        factor = scale // statement.sizes[position]
        scaled.append([factor * y for y in evaluations[row * polynomials : (row + 1) * polynomials]])
    total, power = 0, 1
    for i, k in pairs(len(groups)):
        total += power * sum((a - b) ** 2 for a, b in zip(scaled[i], scaled[k], strict=True))
        power = power * rho % R
    return total % R


def _check_canonical(scalar: int) -> None:
    if scalar >= R:
        raise VerificationNotCanonical(scalar)


def _on_curve(raw: bytes) -> G1Point:
    point = decode_on_curve(raw)
    if point is None:
        raise VerificationBadPoint()
    return point


def _in_subgroup(raw: bytes) -> G1Point:
    point = _on_curve(raw)
    if not point.is_in_subgroup():
        raise VerificationBadPoint()
    return point
