"""What a round takes of a data owner's machine beyond training, said before anything is trained."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..crypto.ceremony import lagrange_points
from ..crypto.curve import POINT_BYTES
from ..crypto.field import ELEMENT_BYTES, N
from ..crypto.kzg import commit_polynomial, expect_commitments
from ..crypto.masks import Pad
from ..market.scheme import Scheme

MOST_MESSAGE_BYTES = 2**31 - 1
"""Flower's limit on a message."""
COPIES_ON_DISK = 3
"""A journal entry, its replacement while the projection is noted, and the round before until it is final."""
COPIES_IN_MEMORY = 4
"""Of a vector: read from the journal, and copied by Flower while it is packed and sent."""

_SECONDS_PER_ELEMENT = 1e-6
"""To quantise, mask, hash, project and write an element; twice what was measured on one machine."""
_OVERHEAD_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class RoundNeeds:
    """What a round takes.

    Attributes
    ----------
    message_bytes : int
        Of a delivery; a limit is `MOST_MESSAGE_BYTES`.
    disk_bytes : int
        Of the journal, at most.
    memory_bytes : int
        Beyond the model, for this package: packages that are loaded not counted.
    seconds : float
        Of one core.
    """

    message_bytes: int
    disk_bytes: int
    memory_bytes: int
    seconds: float

    @classmethod
    def of(cls, scheme: Scheme) -> RoundNeeds:
        """Of a data owner in a market with this scheme, on this machine."""
        message = message_bytes(scheme)
        commitments = scheme.points + int(scheme.terms.projected)
        seconds = _SECONDS_PER_ELEMENT * scheme.elements + (commitments and commitments * commitment_seconds(commitments))
        return cls(message, disk_bytes(scheme), COPIES_IN_MEMORY * message + 8 * scheme.terms.weights, seconds)

    def __str__(self) -> str:
        memory, disk, message, most = (
            f"{count / 1e6:,.0f} MB" for count in (self.memory_bytes, self.disk_bytes, self.message_bytes, MOST_MESSAGE_BYTES)
        )
        return f"a round takes {self.seconds:.1f} s of a core, {memory} of memory and {disk} of disk; it sends {message} of Flower's {most}"


def message_bytes(scheme: Scheme) -> int:
    """Bytes of a delivery."""
    return ELEMENT_BYTES * scheme.elements + POINT_BYTES * scheme.points + _OVERHEAD_BYTES


def disk_bytes(scheme: Scheme) -> int:
    """Most bytes that the journal takes for the rounds that must be kept."""
    return COPIES_ON_DISK * message_bytes(scheme)


def commitment_seconds(count: int) -> float:
    """Seconds of a core that each of so many commitments takes on this machine, without what is done once before them."""
    lagrange_points()
    expect_commitments(count)
    polynomial, start = Pad(bytes(32)).read(N), time.thread_time()
    commit_polynomial(polynomial)
    return time.thread_time() - start
