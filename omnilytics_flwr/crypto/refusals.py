"""What a verification refuses, one class for each Solidity error of ``IVerification``, and the base of all refusals.

They live here because the verifier is pure cryptography; users find them beside the market's in
`omnilytics_flwr.market.refusals`.
"""

from __future__ import annotations

from inspect import get_annotations
from typing import ClassVar

from ..errors import LedgerError

REFUSALS: dict[str, type[Refusal]] = {}
"""Class of each Solidity error, by its name there."""


class Refusal(LedgerError):
    """The market or its verification said no.

    A subclass annotates its facts in the order of the Solidity error's arguments; `TEXT` tells them in words.
    """

    FACTS: ClassVar[tuple[str, ...]] = ()
    TEXT: ClassVar[str] = ""

    def __init_subclass__(cls, *, solidity: str) -> None:
        cls.FACTS = tuple(get_annotations(cls))
        REFUSALS[solidity] = cls

    def __init__(self, *facts: object) -> None:
        if len(facts) != len(self.FACTS):
            raise TypeError(f"{type(self).__name__} takes {len(self.FACTS)} facts ({', '.join(self.FACTS)}), not {len(facts)}")
        super().__init__(*facts)
        for name, fact in zip(self.FACTS, facts, strict=True):
            setattr(self, name, fact)

    def __str__(self) -> str:
        return self.TEXT.format(**dict(zip(self.FACTS, self.args, strict=True)))


class VerificationWrongLength(Refusal, solidity="VerificationWrongLength"):
    """A length differs from what the statement demands."""

    actual: int
    expected: int
    TEXT = "the settlement has {actual} bytes, expected {expected}; build it again for this roster and these waivers"


class VerificationNotCanonical(Refusal, solidity="VerificationNotCanonical"):
    """A scalar is not below the field's order."""

    value: int
    TEXT = "the settlement holds the scalar {value:#x}, expected one below the field's order; build it again"


class VerificationBadPoint(Refusal, solidity="VerificationBadPoint"):
    """A point is off the curve, outside the subgroup, or not encoded as it must be."""

    TEXT = "a point of the settlement is not a canonical point of the G1 subgroup; check deliveries before settling"


class VerificationWrongRoster(Refusal, solidity="VerificationWrongRoster"):
    """The settlement's digests are not the roster's."""

    actual: bytes
    expected: bytes
    TEXT = "the members' points are not those that the round was opened with; send what was committed, in order"


class VerificationWrongExclusion(Refusal, solidity="VerificationWrongExclusion"):
    """An exclusion names a position out of order or outside, a place that does not exist, or a value in range."""

    position: int
    TEXT = "the exclusion of roster position {position} is out of order or shows nothing out of range; leave it out"


class VerificationWrongOpening(Refusal, solidity="VerificationWrongOpening"):
    """An opening proof fails; 0 is the fold, 1 the constant term, 2 + i the i-th exclusion."""

    which: int
    TEXT = "opening proof {which} fails (0 fold, 1 constant term, 2 + i exclusion i); prove again from the delivered vectors"


class VerificationWrongSumcheck(Refusal, solidity="VerificationWrongSumcheck"):
    """The evaluations do not satisfy R(z) = q(z) (z^N - 1) + f(z)."""

    TEXT = "the evaluations contradict the distances or the commitments; prove again from the delivered vectors"


class VerificationUnsupportedChain(Refusal, solidity="VerificationUnsupportedChain"):
    """The chain lacks a precompile that the verification needs."""

    precompile: str
    TEXT = "the chain has no working precompile at {precompile}, the verification needs Prague's; use another chain"
