"""What checks a market's settlements, in Python."""

from __future__ import annotations

from typing import Protocol

from ..crypto import verifier
from ..crypto.computed import verify_computed
from ..crypto.curve import parse_points
from ..crypto.lanes import Lanes
from ..crypto.statement import Statement, Verdict
from ..errors import BadPoint, WrongLength
from ..market.refusals import REFUSALS
from ..market.terms import Terms


class Verification(Protocol):
    """What checks a settlement; the contract's ``IVerification``."""

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        """Digests and distances; raises a ``Verification`` refusal if anything fails."""

    def check_points(self, points: bytes, polynomials: int) -> bool:
        """Whether a delivery's points would do; raises a refusal for a wrong length."""


class SumcheckVerification:
    """The contract of this name, in Python."""

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        """Digests and distances."""
        return verifier.verify(statement, settlement)

    def check_points(self, points: bytes, polynomials: int) -> bool:
        """Whether a delivery's points are canonical, on the curve and in the subgroup."""
        try:
            parse_points(points, polynomials)
        except WrongLength as error:
            raise REFUSALS["VerificationWrongLength"](error.actual, error.expected) from error
        except BadPoint:
            return False
        return True


class ComputedVerification:
    """The contract of this name, in Python; what it asks the market for, its terms, is told beforehand."""

    def __init__(self, terms: Terms) -> None:
        self._lanes = Lanes(terms.weights, terms.update_bits, terms.group_size)

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        """Digests and distances."""
        return verify_computed(statement, settlement, self._lanes)

    def check_points(self, points: bytes, polynomials: int) -> bool:
        """There are none."""
        if points:
            raise REFUSALS["VerificationWrongLength"](len(points), 0)
        return True
