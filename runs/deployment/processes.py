"""Processes of the run: started under guard, so that none outlives it, each with a log of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import TracebackType

from ..recipes import RunError

POLL_SECONDS = 0.1
NO_MARK = "a line that no program prints"
END_SECONDS = 20.0


class ProcessError(RunError):
    """A process did not do what the run needs: what it was, what its log says, where the log is."""


@dataclass(slots=True)
class Guarded:
    """A program, its children, and their log.

    Attributes
    ----------
    name : str
    log : Path
    process : Popen
        The guard, which leads a session of its own.
    layer : int
        Programs of a higher layer end first: those who serve others last.
    """

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    layer: int

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End the program and all its children at once, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def tail(self, lines: int = 12) -> str:
        """Last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else "(no log)"


@dataclass(slots=True)
class Processes:
    """All programs of a run; use it as a context manager, at whose end they end.

    Parameters
    ----------
    logs : Path
        Folder of the logs, made if missing.
    environment : mapping of str to str
        Added to that of this process.
    """

    logs: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _running: list[Guarded] = field(default_factory=list)
    _started: list[Guarded] = field(default_factory=list)

    def __enter__(self) -> Processes:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for layer in sorted({one.layer for one in self._running}, reverse=True):
            _end([one for one in self._running if one.layer == layer])

    @property
    def all(self) -> tuple[Guarded, ...]:
        """Every program that was started, ended ones too."""
        return tuple(self._started)

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None, layer: int = 1) -> Guarded:
        """Start a program."""
        log = self.logs / f"{name}.log"
        guard = resources.files("omnilytics_flwr.evm") / "child_guard.py"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(guard), str(log), NO_MARK, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **self.environment, **(environment or {})},
        )
        started = Guarded(name, log, process, layer)
        self._running.append(started)
        self._started.append(started)
        return started

    def run(self, name: str, command: list[str], *, seconds: float) -> str:
        """Run a program to its end; what it printed.

        Raises
        ------
        ProcessError
            It failed or did not end in time.
        """
        try:
            done = subprocess.run(
                command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"{name} did not end within {seconds:g} s: {command[0]}") from error
        (self.logs / f"{name}.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            raise ProcessError(f"{name} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def await_for(self, what: str, holds: Callable[[], bool], *, seconds: float) -> None:
        """Wait until `holds`.

        Raises
        ------
        ProcessError
            It does not in time, or a program has ended meanwhile; the message has the end of its log.
        """
        expected = [one for one in self._running if one.is_running]
        deadline = time.monotonic() + seconds
        while not holds():
            for one in expected:
                if not one.is_running and one in self._running:
                    raise ProcessError(f"{one.name} ended while the run waited for {what}; its log ({one.log}) ends:\n{one.tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{what} did not come within {seconds:g} s; see the logs in {self.logs}")
            time.sleep(POLL_SECONDS)

    def forget(self, one: Guarded) -> None:
        """Expect a program no longer to run."""
        self._running.remove(one)


def _end(programs: list[Guarded]) -> None:
    for one in programs:
        if one.process.stdin is not None:
            one.process.stdin.close()  # the guard ends its program when its input ends
    deadline = time.monotonic() + END_SECONDS
    for one in programs:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(max(0.1, deadline - time.monotonic()))
        one.kill()


def free_ports(count: int) -> list[int]:
    """So many ports of the loopback interface that are free at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listens(port: int) -> bool:
    """Whether somebody answers at a port of the loopback interface."""
    with socket.socket() as one:
        one.settimeout(1.0)
        return one.connect_ex(("127.0.0.1", port)) == 0
