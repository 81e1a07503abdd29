"""The model owner's journal: the last rounds and the steps taken in them, in memory and in the run directory.

A step is noted before it is sent. Whatever then happens to this process or to the chain, the market's state shows which of the noted steps
is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial

import msgspec
import numpy as np

from ..crypto.field import ELEMENT_BYTES, FieldVector
from ..decoding import convert
from ..errors import Malformed
from ..market.scheme import Scheme
from ..market.terms import Address
from .live_round import Delivered, LiveRound, NotedRound
from .run_directory import Record, RunDirectory
from .vector_files import VectorFiles

KEPT_ROUNDS = 4
"""Rounds whose steps are kept: as many as a reorganisation may undo."""

ROUND, DELIVERY, OUTCOME, ABSENT = "round", "delivery", "outcome", "absent"
"""Kinds of records, how their names begin."""

_NOTED = tuple(one.name for one in fields(NotedRound))


@dataclass(frozen=True, slots=True)
class Absent:
    """Whom a round need not wait for in full.

    Attributes
    ----------
    epoch : int
    uncommitted : frozenset of Address
        Who did not commit in the last round that was opened.
    undelivered : frozenset of Address
        Who did not deliver in any round of the epoch.
    """

    epoch: int
    uncommitted: frozenset[Address] = frozenset()
    undelivered: frozenset[Address] = frozenset()


class RoundJournal:
    """The last rounds, and who was absent from them in this epoch; if there is no directory, nothing of it outlives this process."""

    def __init__(self, directory: RunDirectory | None, scheme: Scheme, on_trouble: Callable[[str], None] = lambda reason: None) -> None:
        self._directory = directory
        self._scheme = scheme
        self._on_trouble = on_trouble
        self._vectors = VectorFiles(None if directory is None else directory.path)
        self._absent = Absent(0)
        self.rounds: dict[int, LiveRound] = {}

    def load(self, *, chain_id: int, market: Address) -> None:
        """Read the run directory, unless rounds are in memory: those know for which of them signatures were asked."""
        if self._directory is None or self.rounds:
            return
        self._directory.claim(chain_id=chain_id, market=market)
        for record in self._directory.records(f"{ROUND}-"):
            live = decode_round(record)
            self.rounds[live.task.round] = live
        for number, live in self.rounds.items():
            live.deliveries.update(map(decode_delivery, self._directory.records(_name(DELIVERY, number))))
            for owner in tuple(live.deliveries):
                self._drop_damaged(live, owner)
        found = self._directory.read(ABSENT)
        if found is not None:
            self._absent = convert(found.facts, Absent)

    def _drop_damaged(self, live: LiveRound, owner: Address) -> None:
        there, expected = self._vectors.size(_name(DELIVERY, live.task.round, owner)), ELEMENT_BYTES * self._scheme.elements
        if there != expected:
            self._on_trouble(f"the vector of {owner} has {there} bytes of {expected} on disk; it counts as not delivered")
            self.drop_delivery(live, owner)

    def newest(self) -> LiveRound | None:
        """The last round."""
        return self.rounds[max(self.rounds)] if self.rounds else None

    def begin(self, live: LiveRound) -> None:
        """Note a new round; forget the rounds that it replaces, and those long past."""
        number = live.task.round
        for other in [other for other in self.rounds if other >= number or other <= number - KEPT_ROUNDS]:
            self.drop(other)
        self.rounds[number] = live
        self.save(live)

    def drop(self, number: int) -> None:
        """Forget a round altogether."""
        self.rounds.pop(number, None)
        self.clear(number)
        self._delete(_name(ROUND, number))

    def save(self, live: LiveRound) -> None:
        """Write a round down, without its deliveries."""
        self._write(_name(ROUND, live.task.round), encode_round(live))

    def set_roster(self, live: LiveRound, roster: tuple[int, ...]) -> None:
        """Note the groups that a round is about to be opened with; projections for another roster are forgotten, and must be made anew."""
        if roster != live.roster and self._scheme.terms.projected:
            live.excused.update(live.deliveries)
            for owner in tuple(live.deliveries):
                self.drop_delivery(live, owner)
        live.roster = roster
        live.spoilt.clear()  # its positions are those of the other roster
        self.save(live)

    def add_delivery(self, live: LiveRound, owner: Address, delivered: Delivered, vector: bytes) -> None:
        """Note a delivery, whose vector goes to disk."""
        name = _name(DELIVERY, live.task.round, owner)
        live.forget_sums(owner)
        self._vectors.write(name, vector)
        live.deliveries[owner] = delivered
        live.excused.discard(owner)
        self._write(name, encode_delivery(owner, delivered))

    def pieces(self, live: LiveRound, owner: Address) -> Iterator[FieldVector]:
        """The vector of a delivery, piece by piece; raises `WireError` if it was damaged on disk."""
        return self._vectors.pieces(_name(DELIVERY, live.task.round, owner), self._scheme.elements)

    def drop_delivery(self, live: LiveRound, owner: Address) -> None:
        """Forget a delivery."""
        live.forget_sums(owner)
        del live.deliveries[owner]
        name = _name(DELIVERY, live.task.round, owner)
        self._change(partial(self._delete, name), partial(self._vectors.delete, name))

    def save_outcome(self, number: int, outcome: Record | None) -> None:
        """Write down what comes of settling a round, if anything does."""
        if outcome is not None:
            self._write(_name(OUTCOME, number), outcome)

    def outcome(self, number: int) -> Record | None:
        """What comes of having settled a round."""
        return None if self._directory is None else self._directory.read(_name(OUTCOME, number))

    def clear(self, number: int) -> None:
        """Delete what must not be kept of a round that is over: the vectors, and the outcome, which is booked by now."""
        if number in self.rounds:
            self.rounds[number].deliveries.clear()
            self.rounds[number].forget_sums()
        vectors = self._vectors.names(_name(DELIVERY, number))
        records = () if self._directory is None else (*self._directory.names(_name(DELIVERY, number)), _name(OUTCOME, number))
        # Records first: one whose vector is gone would be taken for damage.
        self._change(partial(self._delete, *records), partial(self._vectors.delete, *vectors))

    def absent(self, epoch: int) -> Absent:
        """Who was absent from the rounds of this epoch."""
        return self._absent if epoch == self._absent.epoch else Absent(epoch)

    def note_uncommitted(self, epoch: int, owners: Collection[Address]) -> None:
        """Remember who did not commit in this round, and forget who did not in the one before."""
        self._note(replace(self.absent(epoch), uncommitted=frozenset(owners)))

    def note_undelivered(self, epoch: int, owners: Collection[Address]) -> None:
        """Remember for the rest of the epoch who did not deliver."""
        absent = self.absent(epoch)
        self._note(replace(absent, undelivered=absent.undelivered.union(owners)))

    def _note(self, absent: Absent) -> None:
        if absent == self._absent:
            return
        self._absent = absent
        self._write(ABSENT, Record(msgspec.to_builtins(absent)))

    def _write(self, name: str, record: Record) -> None:
        if self._directory is not None:
            self._change(partial(self._directory.write, name, record))

    def _change(self, *changes: Callable[[], None]) -> None:
        """Change what is on disk; once the newest round was opened, a disk that fails must cost neither it nor its end."""
        try:
            for change in changes:
                change()
        except OSError as error:
            newest = self.newest()
            if newest is None or not newest.opened:
                raise
            self._on_trouble(f"the run directory cannot be changed ({error}); the run goes on, and a restart will know less of it")

    def _delete(self, *names: str) -> None:
        if self._directory is not None:
            self._directory.delete(*names)


def _name(kind: str, number: int, owner: str = "") -> str:
    return f"{kind}-{number:010d}-{owner.lower()}" if kind == DELIVERY else f"{kind}-{number:010d}"


# Records


def encode_round(live: LiveRound) -> Record:
    """A round without its deliveries, each of which is a record of its own."""
    noted = NotedRound(**{name: getattr(live, name) for name in _NOTED})
    noted.receipts = [replace(receipt, logs={}) for receipt in live.receipts]
    return Record(msgspec.to_builtins(noted))


def decode_round(record: Record) -> LiveRound:
    """The round of a record; raises `Malformed` for a record of another kind."""
    if set(record.facts) != set(_NOTED):
        raise _damaged("round", f"it has {sorted(record.facts)}")
    try:
        noted = convert(record.facts, NotedRound)
    except Malformed as error:
        raise _damaged("round", error) from error
    return LiveRound(**{name: getattr(noted, name) for name in _NOTED})


def encode_delivery(owner: Address, delivered: Delivered) -> Record:
    """A delivery and whose it is; its vector is a file of its own."""
    return Record(
        {"owner": owner, "metrics": {name: dict(metrics) for name, metrics in delivered.metrics.items()}},
        {
            "points": np.frombuffer(delivered.points, dtype=np.uint8),
            "projected": np.frombuffer(delivered.projected, dtype=np.uint8),
            "signature": np.frombuffer(delivered.signature, dtype=np.uint8),
        },
    )


def decode_delivery(record: Record) -> tuple[Address, Delivered]:
    """Whose delivery a record is, and the delivery; raises `Malformed`."""
    try:
        points, projected, signature = (record.arrays[name].tobytes() for name in ("points", "projected", "signature"))
        return Address(record.facts["owner"]), Delivered(points, projected, signature, record.facts["metrics"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged("delivery", repr(error)) from error


def _damaged(what: str, error: object) -> Malformed:
    return Malformed(f"a {what} of the run directory does not decode ({error}); expected it as it was written; put it back from a copy")
