"""A child process that ends with this one, whatever happens, and announces in one line where it listens."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import IO, cast

from ..errors import Unreachable

START_SECONDS = 60.0
STOP_SECONDS = 45.0


class GuardedProcess:
    """A running command under the guard of `child_guard`.

    Parameters
    ----------
    command : list of str
    mark : str
        What stands before the announcement in the command's output.
    log : Path, optional
        File that all output is appended to.
    environment : mapping of str to str, optional
        By default that of this process.
    folder : Path, optional
        Where the command runs; by default the present folder.

    Attributes
    ----------
    announced : str
        The rest of the line.

    Raises
    ------
    Unreachable
        It announced nothing; the message has its output.
    """

    def __init__(
        self,
        command: list[str],
        *,
        mark: str,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        guard = resources.files(__package__) / "child_guard.py"
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(guard), str(log or ""), mark, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=environment,
            cwd=folder,
        )
        self._finalizer = weakref.finalize(self, _stop, self._guard)
        try:
            self.announced = _first_line(self._guard, Path(command[0]).name)
        except BaseException:
            self.close()
            raise

    @property
    def guard_id(self) -> int:
        """Process id of the guard, the command's parent."""
        return self._guard.pid

    def close(self) -> None:
        """End the command; idempotent."""
        self._finalizer()


def _first_line(guard: subprocess.Popen[bytes], name: str) -> str:
    output = cast("IO[bytes]", guard.stdout)
    said, deadline = b"", time.monotonic() + START_SECONDS
    while not said.endswith(b"\n") or said.startswith(b"failed"):
        ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(output.fileno(), 65536) if ready else b""
        if not data:
            reason = said.removeprefix(b"failed\n").decode(errors="replace").strip()
            raise Unreachable(
                f"{name} did not start; it said: {reason or 'nothing'}; check its arguments, and the files that it is to read"
            )
        said += data
    return said.decode().strip()


def _stop(guard: subprocess.Popen[bytes]) -> None:
    """End the guard, and with it the command, by closing the pipe that it watches."""
    cast("IO[bytes]", guard.stdin).close()
    try:
        guard.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
    cast("IO[bytes]", guard.stdout).close()
