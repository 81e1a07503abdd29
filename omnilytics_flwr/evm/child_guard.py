"""Program that keeps a child process alive exactly as long as the process that started the program.

Run as ``python -I -S child_guard.py LOG MARK COMMAND...``, with the standard library only. As soon as standard input ends
or the parent's process id changes, it ends COMMAND by SIGTERM (so that COMMAND can save its state), later by SIGKILL. If the
parent alone holds the pipe, standard input ends whenever the parent does, even by SIGKILL; the process id helps if a forked
sibling has inherited the pipe's write end. Where the kernel can, COMMAND also gets SIGTERM if the guard itself is killed,
and what COMMAND has started and left behind is killed after it.
COMMAND's output goes to LOG ("" for nowhere). The guard prints one line on standard output: what followed MARK in COMMAND's
output, or "failed" and then that output.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from typing import IO, cast

WATCH_SECONDS = 0.5
GRACE_SECONDS = 30.0
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STDIN, STDOUT = 0, 1


def _die_with_guard() -> None:
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _adopt_orphans() -> None:
    """Become the parent of what descendants leave behind, whatever session it is in."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_orphans() -> None:
    """Kill adopted processes, then those that they leave behind."""
    children = f"/proc/self/task/{os.getpid()}/children"
    while os.path.exists(children):
        with open(children) as listed:
            orphans = [int(number) for number in listed.read().split()]
        if not orphans:
            return
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
        for orphan in orphans:
            os.waitpid(orphan, 0)


class Output:
    """Drains a process's output into a log and finds the rest of the first line that has a mark."""

    def __init__(self, descriptor: int, log_path: str, mark: bytes) -> None:
        self._descriptor = descriptor
        self._log = open(log_path, "ab", buffering=0) if log_path else None
        self._mark = mark
        self._seen = b""
        self._announced = False

    def pump(self) -> bool:
        """Pass on what there is; False at the end."""
        data = os.read(self._descriptor, 65536)
        if self._log:
            self._log.write(data)
        if not self._announced:
            self._seen += data
            self._announce()
        return bool(data)

    def _announce(self) -> None:
        _, found, after = self._seen.partition(self._mark)
        if found and b"\n" in after:
            self._announced = True
            os.write(STDOUT, after.split(b"\n", 1)[0].strip() + b"\n")
            self._seen = b""

    def close(self) -> None:
        """Tell what went wrong if the mark never came."""
        if not self._announced:
            os.write(STDOUT, b"failed\n" + self._seen[-4000:])
        if self._log:
            self._log.close()


def watch(selector: selectors.BaseSelector, output: Output, parent: int) -> None:
    """Pass output on until the parent is gone or the child ends."""
    while os.getppid() == parent:
        for key, _ in selector.select(WATCH_SECONDS):
            if key.fd == STDIN:
                if not os.read(STDIN, 1):
                    return
            elif not output.pump():
                return


def end(child: subprocess.Popen[bytes], selector: selectors.BaseSelector, output: Output) -> None:
    """End the child, by force after a while; its output is drained so that it cannot hang on it."""
    if child.poll() is None:
        child.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    more = True
    while more and time.monotonic() < deadline:
        more = not selector.select(WATCH_SECONDS) or output.pump()
    if more:
        child.kill()
    child.wait()
    kill_orphans()


def main(arguments: list[str]) -> int:
    """Run the command under guard and answer with its exit code."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log_path, mark, *command = arguments
    parent = os.getppid()
    _adopt_orphans()
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_die_with_guard
    )
    descriptor = cast("IO[bytes]", child.stdout).fileno()
    output = Output(descriptor, log_path, mark.encode())
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        selector.register(STDIN, selectors.EVENT_READ)
        try:
            watch(selector, output, parent)
        finally:
            selector.unregister(STDIN)
            end(child, selector, output)
    output.close()
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
