"""What data owners have signed of their examples: with a task it tells them how much each counts."""

from __future__ import annotations

from collections.abc import Iterable

from ..market.examples import ExampleTable, SignedExamples
from ..market.terms import Address


class ExampleBook:
    """The first number that each data owner has signed in a run's first epoch.

    An agent lets its data set be in so many sums only, and each way to weigh a group is another sum. So a group goes over from counting the
    same to counting by examples at most once, in the first epoch; a group with somebody who joined later counts the same.

    Parameters
    ----------
    is_used : bool
        Whether data owners count by their examples; if not, nothing is noted, and all count the same.
    """

    def __init__(self, *, is_used: bool) -> None:
        self._is_used = is_used
        self._epoch = 0
        self._rows: dict[Address, SignedExamples] = {}

    def note(self, epoch: int, rows: Iterable[SignedExamples]) -> None:
        """Note the numbers that came with the commitments of a round of this epoch."""
        self._epoch = self._epoch or epoch
        if self._is_used and epoch == self._epoch:
            self._rows = {row.owner: row for row in rows} | self._rows

    def table(self) -> bytes:
        """What goes with the next task; empty if nobody has signed anything."""
        return ExampleTable.of(self._rows.values()).to_bytes()

    def to_bytes(self) -> bytes:
        """All of it, for `restore`."""
        return self._epoch.to_bytes(4, "big") + self.table()

    def restore(self, encoded: bytes) -> None:
        """Take up what `to_bytes` gave; raises `Malformed` or `WrongLength`."""
        self._epoch = int.from_bytes(encoded[:4], "big")
        self._rows = {row.owner: row for row in ExampleTable.from_bytes(encoded[4:]).rows}
