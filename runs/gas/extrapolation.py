"""What a computed market would cost beyond what fits a transaction: the line through its smallest and its largest measured round.

The line goes by field elements, of which vectors and bytes are made; the cost of opening does not change. It is less than the truth: memory
costs more than its length, and a settlement in several transactions would pay for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .rounds import Case, Cost


@dataclass(frozen=True, slots=True)
class Line:
    """What grows with the elements of a vector, through two rounds of one market that differ in weights alone."""

    small: tuple[Case, Cost]
    large: tuple[Case, Cost]

    @property
    def gas_of_a_weight(self) -> float:
        """Gas of settling for each weight that there is room for."""
        lanes = self.large[0].lanes
        return float((self._settle_gas(lanes.elements) - self._settle_gas(0)) / lanes.places)

    def at(self, weights: int) -> tuple[Case, Cost]:
        """The round of a model of so many weights."""
        case, measured = self.large
        wanted = Case(case.verification, case.owners, case.groups, weights)
        elements = wanted.lanes.elements
        return wanted, Cost(measured.open_gas, round(self._settle_gas(elements)), round(self._bytes(elements)))

    def _settle_gas(self, elements: int) -> Fraction:
        return self._through(self.small[1].settle_gas, self.large[1].settle_gas, elements)

    def _bytes(self, elements: int) -> Fraction:
        return self._through(self.small[1].bytes, self.large[1].bytes, elements)

    def _through(self, small: int, large: int, elements: int) -> Fraction:
        first, last = self.small[0].lanes.elements, self.large[0].lanes.elements
        return small + Fraction(large - small, last - first) * (elements - first)
