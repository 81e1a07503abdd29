"""The verification that a market in memory asks unless it is given another."""

from __future__ import annotations

from omnilytics_flwr.crypto import verifier
from omnilytics_flwr.crypto.curve import parse_points
from omnilytics_flwr.crypto.refusals import VerificationWrongLength
from omnilytics_flwr.crypto.statement import Statement, Verdict
from omnilytics_flwr.errors import BadPoint, WrongLength


class SumcheckVerification:
    """The twin of the contract of the same name."""

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        """Excluded groups and distances; raises a ``Verification`` refusal if anything fails."""
        return verifier.verify(statement, settlement)

    def check_points(self, points: bytes, polynomials: int) -> bool:
        """Whether a delivery's points are canonical, on the curve and in the subgroup."""
        try:
            parse_points(points, polynomials)
        except WrongLength as error:
            raise VerificationWrongLength(error.actual, error.expected) from error
        except BadPoint:
            return False
        return True
