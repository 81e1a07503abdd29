"""One Ctrl-C or SIGTERM ends a run: one line, exit code 130, and nothing that it started goes on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = Path("/proc")
START_SECONDS, END_SECONDS = 240.0, 60.0

SWEEP = """
from dataclasses import replace
from runs.byzantine.recipe import DEFAULT_PATH, load_recipe
from runs.byzantine.sweep import sweep
from runs.mnist.data import resolve_source
from runs.screen import told
def main():
    recipe = load_recipe(DEFAULT_PATH)
    return len(list(sweep(replace(recipe, data=resolve_source(recipe.digits()).data), ["zero"])))
if __name__ == "__main__":
    raise SystemExit(told(main))
"""

COMMANDS: dict[str, tuple[list[str], str]] = {
    "a user's script": (["-m", "tests.runs.interrupted_market"], "ray::ClientAppActor.run"),
    "flwr run": (
        ["-m", "omnilytics_flwr", "local", "--html", "FOLDER/page.html", "--", "flwr", "run", "runs/examples/quickstart"],
        "ray::ClientAppActor",
    ),
    "worker processes": (["-c", SWEEP], "spawn_main"),
    "a chain alone": (["-m", "runs.gas", "--check"], "anvil"),
}
"""What Python is given, and what a process that it starts is called once it is in the middle of its work."""

pytestmark = [pytest.mark.first, pytest.mark.skipif(not PROCESSES.is_dir(), reason="needs Linux, to see processes of processes")]


def descendants(ancestor: int) -> dict[int, str]:
    """Command lines of all processes that a process has started, and of those that these have, by process id."""
    parents, names = {}, {}
    for folder in PROCESSES.glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
    found: dict[int, str] = {}
    generation = {ancestor}
    while generation := {process for process, parent in parents.items() if parent in generation}:
        found |= {process: names[process] for process in generation if process in names}
    return found


def await_descendant(process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not any(name in line for line in descendants(process.pid).values()):
        assert time.monotonic() < deadline, f"{name} did not start"
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the run has ended already: {log.read_text()[-2000:]}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("case", "number"),
    [
        ("a user's script", signal.SIGTERM),
        ("flwr run", signal.SIGINT),
        ("worker processes", signal.SIGTERM),
        ("a chain alone", signal.SIGINT),
        pytest.param("a user's script", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("flwr run", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("worker processes", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("a chain alone", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_interrupted_run_says_one_line_and_ends_with_all_that_it_started(tmp_path: Path, case: str, number: signal.Signals) -> None:
    arguments, name = COMMANDS[case]
    said = tmp_path / "stderr"
    with said.open("wb") as stderr, (tmp_path / "stdout").open("wb") as stdout:
        command = [sys.executable, *(argument.replace("FOLDER", str(tmp_path)) for argument in arguments)]
        environment = {**os.environ, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=ROOT, env=environment, start_new_session=True)
    watched: list[int] = []
    try:
        await_descendant(process, name, said)
        watched = [os.pidfd_open(one) for one in descendants(process.pid)]
        before = len(said.read_text(errors="replace"))
        # A terminal's Ctrl-C reaches everybody in it, whoever asks for an end by SIGTERM names one process.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        deadline = time.monotonic() + END_SECONDS
        assert process.wait(END_SECONDS) == 130, said.read_text(errors="replace")
        assert said.read_text(errors="replace")[before:] == "interrupted\n"
        for one in watched:
            assert select.select([one], [], [], max(0.0, deadline - time.monotonic()))[0], "a process that the run started goes on"
        assert (
            (tmp_path / "page.html").exists()
            == (f"so far as a page: {tmp_path}" in (tmp_path / "stdout").read_text())
            == (case == "flwr run")
        )
    finally:
        process.kill()
        process.wait()
        for one in watched:
            os.close(one)
