"""What a round will take of the model owner's machine, said before any work is done."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..crypto.exact import combination
from ..crypto.field import ELEMENT_BYTES, FieldVector, N
from ..crypto.hashing import keccak256
from ..crypto.projection import Projection
from ..errors import TermsError
from ..market.scheme import Scheme

_TRIED = 4
"""Polynomials that are worked on to see how fast this machine is."""


@dataclass(frozen=True, slots=True)
class ServerNeeds:
    """Needs of one round.

    Attributes
    ----------
    disk_bytes : int
        All vectors, until the round is over.
    memory_bytes : int
        About what the process holds beyond Flower's own and the inner strategy's: sums of groups, three vectors on their way, the mean.
    seconds : float
        About what checking and adding up takes on one core of this machine, without proof and chain.
    """

    disk_bytes: int
    memory_bytes: int
    seconds: float

    @classmethod
    def of(cls, scheme: Scheme, *, owners: int) -> ServerNeeds:
        """The needs of a round with so many data owners."""
        vector, groups = ELEMENT_BYTES * scheme.elements, -(-owners // scheme.terms.group_size)
        is_streamed = scheme.copies > 1
        sums = groups * scheme.places * (4 if is_streamed else 8) + (0 if is_streamed else groups * vector)
        polynomials = owners * -(-scheme.elements // N)
        return cls(owners * vector, sums + 3 * vector + 32 * scheme.places, polynomials * _seconds_of_polynomial(scheme))

    def check_disk(self, run_folder: Path | None) -> None:
        """Raise `TermsError` if the disk has no room for the vectors."""
        folder = run_folder or Path(tempfile.gettempdir())
        there = shutil.disk_usage(folder).free
        if there < self.disk_bytes:
            raise TermsError(
                f"the deliveries of a round take {self.disk_bytes / 1e9:.2f} GB on the disk of {folder}, which has {there / 1e9:.2f} GB "
                "free; make room, or choose another place by run_dir or TMPDIR"
            )

    def __str__(self) -> str:
        return (
            f"all deliveries of a round take {self.disk_bytes / 1e6:,.0f} MB of disk, their sums and mean about "
            f"{self.memory_bytes / 1e6:,.0f} MB of memory and {self.seconds:,.1f} s of a core"
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
