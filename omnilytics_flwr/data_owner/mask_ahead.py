"""A round's mask and its commitment, made while the client trains.

The mask is known with the task, and commitments add as vectors do: what is left once the update is there is the commitment of small numbers,
which takes a fraction of the time. Both stay in memory: whoever had the mask's commitment could find an update by trying.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ..crypto.curve import Points, encode_point, parse_points
from ..crypto.field import FieldVector
from ..crypto.fixedpoint import Units
from ..crypto.kzg import sum_points
from ..market.scheme import Scheme
from ..market.task import TaskId


@dataclass(frozen=True, slots=True, repr=False)
class CommittedMask:
    """A mask for a scheme, its commitments, and the seconds that both took."""

    scheme: Scheme
    vector: FieldVector
    points: Points
    seconds: float

    @classmethod
    def of(cls, scheme: Scheme, make: Callable[[], FieldVector]) -> CommittedMask:
        """The mask that `make` returns."""
        start = time.perf_counter()
        vector = make()
        points = parse_points(scheme.commit(vector), scheme.points)
        return cls(scheme, vector, points, time.perf_counter() - start)

    def add_to(self, units: Units) -> tuple[FieldVector, bytes]:
        """The masked vector of an update, in [-M, M], and its commitments, 96 bytes each."""
        plain = parse_points(self.scheme.commit_units(units), self.scheme.points)
        return self.scheme.pack(units) + self.vector, b"".join(map(encode_point, sum_points([plain, self.points])))


class MaskAhead:
    """The mask of one task at a time, made in a thread of its own.

    What a mask is for is compared before it is used: its task, and a hash of all keys that it is made from. Calls come one at a time.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mask")
        self._held: tuple[tuple[TaskId, bytes], Future[CommittedMask]] | None = None

    def start(self, task: TaskId, keys_hash: bytes, make: Callable[[], CommittedMask]) -> None:
        """Start on a mask, unless it is under way already."""
        if self._held is not None:
            if self._held[0] == (task, keys_hash):
                return
            self._held[1].cancel()
        self._held = (task, keys_hash), self._pool.submit(make)

    def take(self, task: TaskId, keys_hash: bytes) -> CommittedMask | None:
        """The mask, as soon as there is one, or None if it was not started; it is forgotten here."""
        held, self._held = self._held, None
        return held[1].result() if held is not None and held[0] == (task, keys_hash) else None
