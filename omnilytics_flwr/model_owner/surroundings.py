"""What the parts of a keeper share: the market, the passing of time, and whom to tell of trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..market.ledger import ModelOwnerLedger
from ..market.terms import Terms
from .patient_ledger import patient


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What surrounds a round.

    Attributes
    ----------
    ledger : ModelOwnerLedger
        The market, which fails at once if the chain does.
    wait : callable
        Lets so many seconds pass.
    poll_seconds : float, > 0
        Between two looks at the chain.
    on_stage : callable
        Called with round and name of each stage as it begins.
    on_trouble : callable
        Called with a sentence whenever something went wrong that the round survives.
    terms : Terms
    steady : ModelOwnerLedger
        The market, which asks again for a while if the chain fails.
    """

    ledger: ModelOwnerLedger
    wait: Callable[[float], None]
    poll_seconds: float
    on_stage: Callable[[int, str], None]
    on_trouble: Callable[[str], None]
    terms: Terms = field(init=False)
    steady: ModelOwnerLedger = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", self.ledger.terms())
        object.__setattr__(self, "steady", patient(self.ledger, wait=self.wait, poll_seconds=self.poll_seconds))

    def pause(self) -> None:
        """Wait until it is worth looking again."""
        self.wait(self.poll_seconds)
