"""What a process spends on one step: seconds, processor seconds, and memory above what it had before."""

from __future__ import annotations

import ctypes
import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MIB = 2**20
_PROCESS = Path("/proc/self")


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Measure what happens in the ``with`` block; the figures are there when it has ended.

    ``seconds``, ``cpu_seconds`` (of all threads) and ``mib``: the highest resident memory in the block, less that at its beginning. What
    earlier work has left for reuse is given back first, so that nobody lives on it. Linux keeps these books.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    (_PROCESS / "clear_refs").write_text("5")  # the peak counts from here
    found: dict[str, float] = {}
    before, wall, processor = _kib("VmRSS"), time.perf_counter(), time.process_time()
    try:
        yield found
    finally:
        found |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
        found["mib"] = (_kib("VmHWM") - before) * 1024 / MIB


def note(path: Path, line: dict[str, Any]) -> None:
    """Add a line to a file that several processes write."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def noted(path: Path) -> list[dict[str, Any]]:
    """The lines of such a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _kib(entry: str) -> int:
    lines = (_PROCESS / "status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{entry}:"))
