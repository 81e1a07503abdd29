"""What the steps of a data owner's work take: quantise, mask, commit, journal, sign, project."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a step took.

    Attributes
    ----------
    seconds : float
        On the clock.
    cpu_seconds : float
        Of the whole process meanwhile, in all its threads.
    peak_memory_bytes : int
        The most that the process has held in memory, up to the end of the step.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


class StepTimes:
    """Adds up what each step takes; a step may come in many pieces."""

    def __init__(self) -> None:
        self.steps: dict[str, Spent] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add what a block takes to a step."""
        start, cpu_start = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            spent = Spent(time.perf_counter() - start, time.process_time() - cpu_start, peak_memory_bytes())
            self.add(name, spent)

    def add(self, name: str, spent: Spent) -> None:
        """Add what was measured elsewhere to a step."""
        before = self.steps.get(name, Spent())
        self.steps[name] = Spent(
            before.seconds + spent.seconds,
            before.cpu_seconds + spent.cpu_seconds,
            max(before.peak_memory_bytes, spent.peak_memory_bytes),
        )


def peak_memory_bytes() -> int:
    """The most memory that this process has held."""
    # Linux counts what a process held before it became another program into the figure of `getrusage`, so its own is read first.
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
