"""Settlements that lie: honest ones taken apart and put together changed, and provers that lie consistently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from py_arkworks_bls12381 import G1Point

from omnilytics_flwr.crypto.domain import evaluation_weights
from omnilytics_flwr.crypto.exact import combine, inner_products
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.kzg import commit, prove_opening
from omnilytics_flwr.crypto.settlement import Argument, Settlement
from omnilytics_flwr.crypto.statement import (
    VerificationBadPoint,
    VerificationNotCanonical,
    VerificationWrongLength,
    VerificationWrongOpening,
)
from omnilytics_flwr.crypto.transcript import Challenge, challenge_gamma, challenge_rho, challenge_z
from omnilytics_flwr.errors import Refusal
from tests.crypto.conftest import Round
from tests.crypto.plain import Lies, squares_of, values_of
from tests.support import bad_inputs

Change = Callable[[Settlement], bytes]
Numbers = tuple[int, ...]
Rows = tuple[tuple[bytes, ...], ...]
POINT, WORD, PROOF = 96, 32, 48
COMPRESSED_INFINITY = b"\xc0" + bytes(47)


@dataclass(frozen=True)
class Forgery:
    """A change, and the refusal that it must meet; the facts are told by the verifier in Python."""

    change: Change
    refusal: type[Refusal]


def argument(change: Callable[[Argument], Argument]) -> Change:
    """Change the part that proves the distances."""

    def apply(honest: Settlement) -> bytes:
        assert honest.argument is not None
        return replace(honest, argument=change(honest.argument)).to_bytes()

    return apply


def number(field: str, place: int, change: Callable[[int], int]) -> Change:
    """Change one of the scalars V (`values`) or y (`evaluations`)."""
    return argument(lambda a: replace(a, **{field: _with(getattr(a, field), place, change(getattr(a, field)[place]))}))


def part(field: str, raw: bytes) -> Change:
    """Replace a commitment or an opening proof."""
    return argument(lambda a: replace(a, **{field: raw}))


def members(change: Callable[[Rows], Rows]) -> Change:
    """Change the members' points."""
    return lambda honest: replace(honest, members=change(honest.members)).to_bytes()


def raw(change: Callable[[bytes], bytes]) -> Change:
    """Change the flat string."""
    return lambda honest: change(honest.to_bytes())


def _with(items: tuple[Any, ...], place: int, item: Any) -> tuple[Any, ...]:
    place %= len(items)
    return (*items[:place], item, *items[place + 1 :])


def _cut(end: Callable[[Settlement], int]) -> Change:
    """Keep so many bytes only."""
    return lambda honest: honest.to_bytes()[: end(honest)]


def _head(honest: Settlement) -> int:
    return sum(len(row) for group in honest.members for row in group)


def _commitments_at(honest: Settlement) -> int:
    assert honest.argument is not None
    return _head(honest) + WORD * len(honest.argument.values)


def _without_quotient(honest: Settlement) -> bytes:
    string, at = honest.to_bytes(), _commitments_at(honest)
    return string[:at] + string[at + POINT :]


SCALAR_PLACES = {
    "first V": ("values", 0),
    "last V": ("values", -1),
    "first y": ("evaluations", 0),
    "last y": ("evaluations", -1),
}
TOO_LARGE = {"r": R, "r + 1": R + 1, "2^256 - 1": 2**256 - 1}
OTHER_POINTS = {"generator": bad_inputs.GENERATOR, "infinity": bad_inputs.INFINITY, **bad_inputs.BAD_POINTS}
OTHER_PROOFS = {
    "of zeros": bytes(PROOF),
    "of ones": b"\xff" * PROOF,
    "at infinity": COMPRESSED_INFINITY,
    "at infinity, not canonical": b"\xe0" + bytes(47),
    "outside the subgroup": b"\x80" + bytes(47),
    "of the generator": G1Point().to_compressed_bytes(),
    "not compressed": b"\x17" + bad_inputs.GENERATOR[1:48],
}

COMMON_FORGERIES: dict[str, Forgery] = {
    # Scalars.
    **{
        f"{name} {by:+d}": Forgery(number(field, place, lambda v, by=by: (v + by) % R), VerificationWrongOpening)
        for name, (field, place) in SCALAR_PLACES.items()
        for by in (1, -1)
    },
    **{
        f"{name} is {what}": Forgery(number(field, place, lambda v, value=value: value), VerificationNotCanonical)
        for name, (field, place) in SCALAR_PLACES.items()
        for what, value in TOO_LARGE.items()
    },
    **{
        f"{name} plus r": Forgery(number(field, place, lambda v: v + R), VerificationNotCanonical)
        for name, (field, place) in SCALAR_PLACES.items()
    },
    # Commitments and proof: another commitment means another challenge, for which the evaluations are not.
    **{
        f"{name} is {what}": Forgery(
            part(field, point), VerificationBadPoint if what in bad_inputs.BAD_POINTS else VerificationWrongOpening
        )
        for name, field in {"C_q": "quotient", "C_f": "remainder", "C_e": "tail"}.items()
        for what, point in OTHER_POINTS.items()
    },
    "C_q and C_f swapped": Forgery(argument(lambda a: replace(a, quotient=a.remainder, remainder=a.quotient)), VerificationWrongOpening),
    **{f"proof {what}": Forgery(part("proof", proof), VerificationWrongOpening) for what, proof in OTHER_PROOFS.items()},
    # Members: other points have other sums, for which the challenges are not.
    **{
        f"point is {what}": Forgery(
            members(lambda m, p=point: _with(m, 0, _with(m[0], 1, p))),
            VerificationBadPoint if what in bad_inputs.BAD_POINTS else VerificationWrongOpening,
        )
        for what, point in OTHER_POINTS.items()
    },
    "member twice": Forgery(members(lambda m: _with(m, 0, _with(m[0], 1, m[0][0]))), VerificationWrongOpening),
    "members swapped between groups": Forgery(
        members(lambda m: (_with(m[0], 0, m[2][0]), m[1], _with(m[2], 0, m[0][0]), *m[3:])), VerificationWrongOpening
    ),
    "groups swapped": Forgery(members(lambda m: (m[0], m[2], m[1], *m[3:])), VerificationWrongOpening),
    "member missing": Forgery(members(lambda m: _with(m, 0, m[0][1:])), VerificationWrongLength),
    "member added": Forgery(members(lambda m: _with(m, 0, (*m[0], m[0][0]))), VerificationWrongLength),
    "group missing": Forgery(members(lambda m: m[1:]), VerificationWrongLength),
    # Lengths.
    "nothing": Forgery(raw(lambda s: b""), VerificationWrongLength),
    "one byte too many": Forgery(raw(lambda s: s + b"\0"), VerificationWrongLength),
    "one word too many": Forgery(raw(lambda s: s + bytes(WORD)), VerificationWrongLength),
    "one byte too few": Forgery(raw(lambda s: s[:-1]), VerificationWrongLength),
    "cut in a point": Forgery(_cut(lambda s: 100), VerificationWrongLength),
    "cut after a point": Forgery(_cut(lambda s: POINT), VerificationWrongLength),
    "cut after the members": Forgery(_cut(_head), VerificationWrongLength),
    "cut after V": Forgery(_cut(_commitments_at), VerificationWrongLength),
    "cut in C_q": Forgery(_cut(lambda s: _commitments_at(s) + 1), VerificationWrongLength),
    "cut after C_q": Forgery(_cut(lambda s: _commitments_at(s) + POINT), VerificationWrongLength),
    "cut after C_f": Forgery(_cut(lambda s: _commitments_at(s) + 2 * POINT), VerificationWrongLength),
    "cut after C_e": Forgery(_cut(lambda s: _commitments_at(s) + 3 * POINT), VerificationWrongLength),
    "cut after y": Forgery(raw(lambda s: s[:-PROOF]), VerificationWrongLength),
    # Read as a list of byte strings, an empty one would be hashed as nothing and its place filled by what follows.
    "C_q of length zero": Forgery(_without_quotient, VerificationWrongLength),
    "C_q of length zero, filled up at the end": Forgery(lambda s: _without_quotient(s) + bytes(POINT), VerificationNotCanonical),
}
"""By name; of any settlement with a proof of distances between at least four groups."""


@dataclass
class Claim:
    """What stands before z is drawn: V, rho, the quotient, the remainder and its tail, and what follows from these alone."""

    values: tuple[int, ...]
    rho: Challenge
    quotient: FieldVector
    remainder: FieldVector
    tail: FieldVector

    @cached_property
    def commitments(self) -> tuple[bytes, ...]:
        """C_q, C_f and C_e."""
        return commit(self.quotient), commit(self.remainder), commit(self.tail)


class Liar:
    """Argues for the distances of a round of one polynomial, none of whose groups is outside."""

    def __init__(self, round_: Round) -> None:
        self.round = round_
        self.points = round_.plain().points

    @cached_property
    def honest_claim(self) -> Claim:
        """The claim without a lie."""
        return self.claim(Lies())

    def claim(self, lies: Lies) -> Claim:
        """V, and the polynomials that follow from it and from what is said of them."""
        statement = self.round.statement
        sums = tuple((tuple(vector.to_ints()),) for vector in self.round.vectors)
        squares = squares_of(statement.sizes, sums)
        values = tuple(lies.values([N * (square[0] + square[N]) % R for square in squares]))
        rho = challenge_rho(statement, points=self.points, values=values)
        powers = [pow(rho.scalar, p, R) for p in range(len(squares))]
        combined = [sum(power * square[i] for power, square in zip(powers, squares, strict=True)) % R for i in range(2 * N)]
        # X^N = 1 + (X^N - 1).
        remainder = lies.remainder([(combined[i] + combined[N + i]) % R for i in range(N)])
        coefficients = (lies.quotient(combined[N:]), remainder, lies.tail([*remainder[1:], 0]))
        return Claim(values, rho, *(FieldVector.from_ints(values_of(polynomial)) for polynomial in coefficients))

    def settle(self, lies: Lies | None = None) -> bytes:
        """The settlement."""
        lies = lies or Lies()
        honest = {lies.values, lies.quotient, lies.remainder, lies.tail} == {list}
        claim = self.honest_claim if honest else self.claim(lies)
        spoil = (lies.quotient_point, lies.remainder_point, lies.tail_point)
        c_q, c_f, c_e = (change(point) for change, point in zip(spoil, claim.commitments, strict=True))
        challenge = challenge_z(claim.rho, quotient=c_q, remainder=c_f, tail=c_e)
        z, opened = challenge.scalar, list(self.round.vectors)
        evaluations = lies.evaluations(inner_products(opened, evaluation_weights(z)), z)
        gamma = challenge_gamma(challenge, evaluations=evaluations).scalar
        opened.append(combine([claim.quotient, claim.remainder], [(pow(z, N, R) - 1) % R, 1]))
        opened.append(combine([claim.remainder, claim.tail], [1, -z % R]))
        fold = combine(opened, [pow(gamma, i, R) for i in range(len(opened))])
        (value,) = inner_products([fold], evaluation_weights(z))
        argument = Argument(claim.values, c_q, c_f, c_e, tuple(evaluations), prove_opening(fold, z, value))
        return Settlement(self.round.members, argument).to_bytes()
