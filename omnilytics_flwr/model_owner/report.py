"""What a round came to, for people, run records and tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..market.ledger import Receipt
from ..market.terms import Address


@dataclass(frozen=True, slots=True)
class RoundReport:
    """One round of a market as its model owner saw it.

    Attributes
    ----------
    epoch, round : int
    settled : bool
        False if the round was never opened.
    committed : tuple of Address
        Data owners with a valid commitment.
    roster : tuple of tuple of Address
        Members of each group of the opened roster.
    accepted, excluded, ineligible, dropped, waived : tuple of int
        Roster positions, by fate; all but `excluded`, `ineligible` and `dropped` are paid.
    paid : tuple of Address
    distances : tuple of int
        Squared distances T of all pairs, as settled, on the scale `scale` squared.
    scale : int
        L.
    receipts : tuple of Receipt
        Transactions of the round.
    seconds : dict of str to float
        By stage.
    """

    epoch: int
    round: int
    settled: bool
    committed: tuple[Address, ...]
    roster: tuple[tuple[Address, ...], ...] = ()
    accepted: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    ineligible: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    waived: tuple[int, ...] = ()
    paid: tuple[Address, ...] = ()
    distances: tuple[int, ...] = ()
    scale: int = 1
    receipts: tuple[Receipt, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
