"""Weights of a computed market as lanes of field elements (docs/specification/protocol.md section 9).

Nothing is proven there, so that elements are as full as a sum of h + 1 members allows: element i is the sum of u[i l + j] 2^(w j) mod r
over its l lanes, with w = b + ceil(log2(h + 1)). A sum is read after adding h' 2^(b-1), h' being its members, to every lane.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .field import FieldVector, R
from .fixedpoint import Units, most_unit

MOST_WIDTH = 28
"""Three wider lanes would not fit an element with their products between them, as the contract multiplies them."""

_ELEMENT_BITS = 254
"""Numbers of so many bits are below the order of the field."""


def lane_width(*, update_bits: int, group_size: int) -> int:
    """w = b + ceil(log2(h + 1)), at most `MOST_WIDTH`."""
    return update_bits + group_size.bit_length()


@dataclass(frozen=True, slots=True)
class Lanes:
    """How an update lies in its vector.

    Attributes
    ----------
    weights : int
        d.
    update_bits, group_size : int
        b and h, such that `lane_width` is at most `MOST_WIDTH`.
    """

    weights: int
    update_bits: int
    group_size: int

    @property
    def width(self) -> int:
        """w, bits of a lane."""
        return lane_width(update_bits=self.update_bits, group_size=self.group_size)

    @property
    def count(self) -> int:
        """l, lanes of an element; a multiple of three."""
        return 3 * (_ELEMENT_BITS // (3 * self.width))

    @property
    def elements(self) -> int:
        """E = ceil(d / l), elements of a vector."""
        return -(-self.weights // self.count)

    @property
    def places(self) -> int:
        """Weights that there is room for."""
        return self.count * self.elements

    def pack(self, units: Units) -> FieldVector:
        """Put units in [-M, M], or sums of h + 1 of them, into elements.

        Parameters
        ----------
        units : int64 array, shape (E l,)
        """
        return FieldVector.from_ints(self._joined(row) % R for row in units.reshape(-1, self.count).tolist())

    def read(self, total: FieldVector, *, members: int) -> Units | None:
        """The units of an unmasked sum of `members` updates; None if a lane is not in [-members M, members M], or it is no such sum."""
        raise_by, most = members << self.update_bits - 1, members * most_unit(self.update_bits)
        raised = self._joined([raise_by] * self.count)
        lanes = []
        for element in total.to_ints():
            value = (element + raised) % R
            if value >> self.width * self.count:
                return None
            lanes += [value >> self.width * lane & (1 << self.width) - 1 for lane in range(self.count)]
        units = np.array(lanes, dtype=np.int64) - raise_by
        return units if (abs(units) <= most).all() else None

    def _joined(self, lanes: Iterable[int]) -> int:
        return sum(value << self.width * lane for lane, value in enumerate(lanes))
