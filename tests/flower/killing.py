"""A model owner that is killed after any of its steps that outlive it, and started again.

A step is a durable write, a deletion, or a transaction. In memory, being killed is an exception that nothing catches; whoever is killed
so leaves no more behind than by SIGKILL, for every step is finished when it returns.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.model_owner.run_directory import RunDirectory

TRANSACTIONS = frozenset({"anchor", "open", "accuse", "settle", "timeout"})


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Killer:
    """Counts steps, and strikes after one of them.

    Attributes
    ----------
    strike_after : int or None
        Number of the step, from 0; None never strikes.
    strike : callable
        What to do then.
    steps : list of str
        What was done, e.g. ``"write progress"`` or ``"send open"``.
    """

    strike_after: int | None = None
    strike: Callable[[], None] | None = None
    steps: list[str] = field(default_factory=list)

    def note(self, step: str) -> None:
        """A step is done."""
        self.steps.append(step)
        if len(self.steps) - 1 == self.strike_after:
            if self.strike is None:
                raise Killed(step)
            self.strike()

    def ledger(self, ledger: ModelOwnerLedger) -> ModelOwnerLedger:
        """`ledger`, whose transactions are steps."""
        return cast("ModelOwnerLedger", _Watched(ledger, self))

    @contextmanager
    def watching_files(self) -> Iterator[None]:
        """Writes and deletions of run directories are steps."""
        with pytest.MonkeyPatch.context() as patch:
            self.watch_files(patch.setattr)
            yield

    def watch_files(self, replace: Callable[[Any, str, Any], None] = setattr) -> None:
        """The same, for as long as the process lives."""
        write, delete = RunDirectory.write, RunDirectory.delete

        def noted_write(directory: RunDirectory, name: str, record: object) -> None:
            write(directory, name, record)  # type: ignore[arg-type]
            self.note(f"write {kind_of(name)}")

        def noted_delete(directory: RunDirectory, *names: str) -> None:
            for name in names:
                delete(directory, name)
                self.note(f"delete {kind_of(name)}")

        replace(RunDirectory, "write", noted_write)
        replace(RunDirectory, "delete", noted_delete)


class _Watched:
    """Notes every transaction of a ledger once it is mined."""

    def __init__(self, ledger: ModelOwnerLedger, killer: Killer) -> None:
        self._ledger = ledger
        self._killer = killer

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        if name not in TRANSACTIONS:
            return value

        def send(*arguments: object) -> object:
            receipt = value(*arguments)
            self._killer.note(f"send {name}")
            return receipt

        return send


def kind_of(name: str) -> str:
    """What a record is, whatever round or data owner it is of."""
    return name.split("-")[0]


def boundaries(steps: list[str]) -> list[int]:
    """Numbers of the steps after which to strike: all, but of a row of the same steps the first, one in the middle and the last."""
    chosen, start = [], 0
    for place in range(1, len(steps) + 1):
        if place == len(steps) or steps[place] != steps[start]:
            row = range(start, place)
            chosen += sorted({row[0], row[len(row) // 2], row[-1]})
            start = place
    return chosen


def copy_folder(source: Path, to: Path) -> None:
    """Make `to` a copy of a folder, in place of what is there."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(source, to)
