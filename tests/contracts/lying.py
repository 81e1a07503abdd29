"""A quick twin of `tests.crypto.plain.Plain.argue`: what a lie does not touch is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from omnilytics_flwr.crypto.commitment import commit
from omnilytics_flwr.crypto.domain import INVERSE_N, evaluation_weights
from omnilytics_flwr.crypto.exact import combine, inner_products
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.kzg_opening import prove_opening
from omnilytics_flwr.crypto.settlement import Argument, Settlement
from omnilytics_flwr.crypto.transcript import Challenge, challenge_gamma, challenge_rho, challenge_z
from tests.crypto.plain import Lies, squares_of, values_of
from tests.crypto.rounds import Round


@dataclass
class Claim:
    """What stands before z is drawn: V, rho, the quotient and the remainder, and what follows from these alone."""

    values: tuple[int, ...]
    rho: Challenge
    quotient: FieldVector
    remainder: FieldVector

    @cached_property
    def commitments(self) -> tuple[bytes, bytes]:
        """C_q and C_f."""
        return commit(self.quotient), commit(self.remainder)

    @cached_property
    def constant_proof(self) -> bytes:
        """Of the remainder at 0."""
        return prove_opening(self.remainder, 0, sum(self.remainder.to_ints()) * INVERSE_N % R)


class Liar:
    """Argues for the distances of a round of one polynomial, none of whose groups is outside or excluded."""

    def __init__(self, round_: Round) -> None:
        self.round = round_
        self.points = round_.plain().points

    @cached_property
    def honest_claim(self) -> Claim:
        """The claim without a lie."""
        return self.claim(Lies())

    def claim(self, lies: Lies) -> Claim:
        """V, and the polynomials that follow from it and from what is said of the remainder."""
        statement = self.round.statement
        sums = tuple((tuple(vector.to_ints()),) for vector in self.round.vectors)
        squares = squares_of(statement.sizes, statement.update_bits, sums)
        values = tuple(lies.values([N * (square[0] + square[N]) % R for square in squares]))
        rho = challenge_rho(statement, excluded=0, points=self.points, values=values)
        powers = [pow(rho.scalar, p, R) for p in range(len(squares))]
        combined = [sum(power * square[i] for power, square in zip(powers, squares, strict=True)) % R for i in range(2 * N)]
        # X^N = 1 + (X^N - 1).
        remainder = lies.remainder([(combined[i] + combined[N + i]) % R for i in range(N)])
        return Claim(values, rho, FieldVector.from_ints(values_of(combined[N:])), FieldVector.from_ints(values_of(remainder)))

    def settle(self, lies: Lies | None = None) -> bytes:
        """The settlement."""
        lies = lies or Lies()
        honest = (lies.values, lies.remainder) == (list, list)
        claim = self.honest_claim if honest else self.claim(lies)
        c_q, c_f = lies.quotient_point(claim.commitments[0]), lies.remainder_point(claim.commitments[1])
        z = challenge_z(claim.rho, quotient=c_q, remainder=c_f)
        opened = [*self.round.vectors, claim.quotient, claim.remainder]
        evaluations = lies.evaluations(inner_products(opened, evaluation_weights(z.scalar)), z.scalar)
        gamma = challenge_gamma(z, evaluations=evaluations).scalar
        fold = combine(opened, [pow(gamma, i, R) for i in range(len(opened))])
        (value,) = inner_products([fold], evaluation_weights(z.scalar))
        proof = prove_opening(fold, z.scalar, value)
        argument = Argument(claim.values, c_q, c_f, tuple(evaluations), proof, claim.constant_proof)
        return Settlement(self.round.members, (), argument).to_bytes()
