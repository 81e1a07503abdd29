"""A round's mask and its commitment, made while the client trains.

The mask is known with the task, and commitments add as vectors do: what is left once the update is there is the commitment of small numbers,
which takes a fraction of the time. Both stay in memory: whoever had the mask's commitment could find an update by trying.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ..crypto.curve import encode_point, parse_points
from ..crypto.field import FieldVector, N
from ..crypto.fixedpoint import Units
from ..crypto.kzg import expect_commitments, sum_points
from ..crypto.masks import GroupMask
from ..market.scheme import Scheme
from ..market.task import TaskId
from .step_times import StepTimes


class CommittedMask:
    """A mask and its commitments; implements `omnilytics_flwr.data_owner.masked_vector.RoundMask`.

    Attributes
    ----------
    vector : FieldVector
    points : tuple of G1Point
    spent : Spent
        What making them took.
    """

    __slots__ = ("_committed", "_read", "_scheme", "points", "spent", "vector")

    def __init__(self, scheme: Scheme, mask: GroupMask) -> None:
        times = StepTimes()
        with times.step("mask"):
            expect_commitments(scheme.points)
            self.vector = mask.read(scheme.elements)
            self.points = parse_points(scheme.commit(self.vector), scheme.points)
        self.spent = times.steps["mask"]
        self._scheme, self._read, self._committed = scheme, 0, 0

    def read(self, length: int) -> FieldVector:
        """See `RoundMask.read`."""
        self._read += length
        return FieldVector(self.vector.limbs[self._read - length : self._read])

    def commit(self, units: Units, masked: FieldVector) -> bytes:
        """See `RoundMask.commit`."""
        count = len(masked) // N
        plain = parse_points(self._scheme.commit_units(units), count)
        self._committed += count
        return b"".join(map(encode_point, sum_points([plain, self.points[self._committed - count : self._committed]])))


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

    def take(self, task: TaskId, keys_hash: bytes) -> Future[CommittedMask] | None:
        """The mask, made or still in the making, or None if it was not started; it is forgotten here."""
        held, self._held = self._held, None
        return held[1] if held is not None and held[0] == (task, keys_hash) else None
