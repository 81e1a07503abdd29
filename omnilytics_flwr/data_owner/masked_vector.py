"""A data owner's masked vector, made a few polynomials at a time: memory holds the vector once, and little beside it."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Protocol

from ..crypto.field import FieldVector, N
from ..crypto.fixedpoint import Units
from ..crypto.kzg import expect_commitments
from ..crypto.masks import GroupMask
from ..market.scheme import Scheme
from .step_times import StepTimes

ELEMENTS_AT_ONCE = 4 * N
"""Little enough for a processor's cache, where all steps are fastest."""


class RoundMask(Protocol):
    """A round's mask, read from its start to its end."""

    def read(self, length: int) -> FieldVector:
        """The next `length` elements."""

    def commit(self, units: Units, masked: FieldVector) -> bytes:
        """The points of those elements masked, 96 bytes each; `units` is what was masked with them."""


class FreshMask:
    """A mask that is made as it is read; implements `RoundMask`."""

    def __init__(self, scheme: Scheme, mask: GroupMask) -> None:
        self.read = mask.read
        self._scheme = scheme

    def commit(self, units: Units, masked: FieldVector) -> bytes:
        """See `RoundMask.commit`."""
        return self._scheme.commit(masked)


def units_at_once(scheme: Scheme) -> int:
    """Places of a piece as `mask_pieces` takes it: those of `ELEMENTS_AT_ONCE` elements."""
    return ELEMENTS_AT_ONCE * (scheme.places // scheme.elements)


def mask_pieces(pieces: Iterable[Units], mask: RoundMask, scheme: Scheme, times: StepTimes) -> tuple[bytes, bytes]:
    """Masked vector of an update, as it travels, and its points.

    Parameters
    ----------
    pieces : iterable of int64 arrays, shape (`units_at_once`,), the last may be shorter
        The quantised update.
    times : StepTimes
        Gets the steps quantise, mask and commit.
    """
    vector, remaining = BytesIO(), iter(pieces)
    points: list[bytes] = []
    expect_commitments(scheme.points)
    while True:
        with times.step("quantise"):
            units = next(remaining, None)
        if units is None:
            return vector.getvalue(), b"".join(points)
        with times.step("mask"):
            packed = scheme.pack(units)
            masked = packed + mask.read(len(packed))
            vector.write(masked.to_bytes())
        with times.step("commit"):
            points.append(mask.commit(units, masked))
