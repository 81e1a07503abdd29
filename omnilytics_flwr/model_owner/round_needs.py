"""What a round will take of the model owner's machine, said before any work is done."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..crypto.curve import POINT_BYTES
from ..crypto.exact import combination
from ..crypto.field import ELEMENT_BYTES, FieldVector, N
from ..crypto.hashing import keccak256
from ..crypto.projection import Projection
from ..errors import TermsError
from ..market.scheme import Scheme

MESSAGE_BYTES = (1 << 31) - 1
"""Flower's longest message."""

MOST_RECORD_BYTES = 1 << 20
"""Room for what else is in a message."""

_TRIED = 4
"""Polynomials that are worked on to see how fast this machine is."""
_MIB, _GIB = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class RoundNeeds:
    """Needs of one round.

    Attributes
    ----------
    delivery_bytes : int
        A data owner's delivery, as it travels.
    disk_bytes : int
        All vectors, until the round is over.
    memory_bytes : int
        About what the process holds beyond Flower's own and the inner strategy's: sums of groups, three vectors on their way, the mean.
    seconds : float
        About what checking and adding up takes on one core of this machine, without proof and chain.
    """

    delivery_bytes: int
    disk_bytes: int
    memory_bytes: int
    seconds: float

    @classmethod
    def of(cls, scheme: Scheme, *, owners: int) -> RoundNeeds:
        """The needs of a round with so many data owners."""
        vector, groups = ELEMENT_BYTES * scheme.elements, -(-owners // scheme.terms.group_size)
        is_streamed = scheme.copies > 1
        sums = groups * scheme.places * (4 if is_streamed else 8) + (0 if is_streamed else groups * vector)
        delivery = vector + POINT_BYTES * (scheme.points + 1)
        polynomials = owners * -(-scheme.elements // N)
        return cls(delivery, owners * vector, sums + 3 * vector + 32 * scheme.places, polynomials * _seconds_of_polynomial(scheme))

    def check(self, run_folder: Path | None, *, model_bytes: int) -> None:
        """Raise `TermsError` if a round cannot be held: Flower takes no such message, or the disk has no room for the vectors."""
        for what, actual in (("a delivery", self.delivery_bytes), ("the model", model_bytes)):
            if actual + MOST_RECORD_BYTES > MESSAGE_BYTES:
                raise TermsError(
                    f"{what} would be a message of {actual / _GIB:.2f} GiB, and Flower's longest are of 2 GiB; train a part of the model, "
                    "or one with fewer weights"
                )
        folder = run_folder or Path(tempfile.gettempdir())
        there = shutil.disk_usage(folder).free
        if there < self.disk_bytes:
            raise TermsError(
                f"the deliveries of a round take {self.disk_bytes / _GIB:.2f} GiB on the disk of {folder}, which has {there / _GIB:.2f} GiB "
                "free; make room, or choose another place by run_dir or TMPDIR"
            )

    def __str__(self) -> str:
        return (
            f"a delivery is a message of {self.delivery_bytes / _MIB:,.1f} MiB, all of them take {self.disk_bytes / _MIB:,.0f} MiB of disk; "
            f"sums and mean about {self.memory_bytes / _MIB:,.0f} MiB of memory and {self.seconds:,.1f} s of one core"
        )


def _seconds_of_polynomial(scheme: Scheme) -> float:
    """How long this machine works on one polynomial of one delivery."""
    raw = bytes(ELEMENT_BYTES * N * _TRIED)
    began = time.perf_counter()
    piece = FieldVector.from_bytes(raw, N * _TRIED)
    if scheme.points:
        combination(list(piece.polynomials()), [1 << 127] * _TRIED)
    else:
        keccak256(raw)
    if scheme.copies > 1:
        Projection(bytes(32)).add(piece)
    scheme.read(FieldVector.from_bytes(raw, N * _TRIED) + piece, members=1)
    return (time.perf_counter() - began) / _TRIED
