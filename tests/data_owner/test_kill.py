"""A data owner's process killed before each of its durable steps: what is left of it never gives a second vector, key or evaluation.

``python -m tests.data_owner.test_kill FOLDER`` does the killing: for each k a child plays with one data owner's home until it is killed
before its k-th durable step, and a second one plays the same on the same home, with another update, to its end. What left either of them
is printed as one line of JSON for each k. The chain is in memory and begins anew in each child: what a home holds and what left it is all
that a kill leaves behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.crypto.ceremony import lagrange_points
from omnilytics_flwr.errors import Refused
from tests.data_owner.owners import TASK, live_task, lone_owner, open_with
from tests.support.builders import DictatedVerification

DURABLE = ("fsync", "replace", "link", "unlink")
"""Functions of `os` between any two of which a home may be left."""

Say = Callable[[str, str], None]


def play(folder: Path, seed: int, say: Say) -> None:
    """Join, evaluate, commit, deliver, and tidy up after the round; `say` is told what leaves."""
    scene, owner = lone_owner(folder, verification=DictatedVerification())
    say("key", next(member.mask_key for member in scene.market.members() if member.owner == owner.address).hex())
    scene.open()
    scene.settle(next_task=TASK.task_hash(2))
    task = live_task(scene)
    with suppress(Refused):
        owner.agent().admit_evaluation(task)
        say("evaluated", str(task.round))
    try:
        commitment = owner.commit(task, seed)
    except Refused as refusal:
        say("refused", str(refusal))
        return
    say("digest", commitment.digest.hex())
    say("vector", owner.deliver(task, open_with(scene, commitment)).vector[:64].hex())
    scene.time_out()
    owner.agent().tidy()
    say("end", "")


def kill_before(step: int) -> None:
    """From now on, die before the `step`-th durable step."""
    steps = count(1)

    def counted(act: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **named: object) -> object:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*arguments, **named)

        return wrapped

    for name in DURABLE:
        setattr(os, name, counted(getattr(os, name)))


def in_child(folder: Path, seed: int, step: int | None) -> tuple[bool, list[list[str]]]:
    """Play in a child; whether it was killed, and what left it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            write = os.write
            if step is not None:
                kill_before(step)
            play(folder, seed, lambda what, value: write(writer, (json.dumps([what, value]) + "\n").encode()) and None)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader) as said:
        lines = [json.loads(line) for line in said]
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    if not killed and os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the child failed with {lines}")
    return killed, lines


def main(folder: Path) -> None:
    """Kill before every step until a child comes to its end."""
    lagrange_points()
    for step in count(1):
        home = folder / f"killed-before-{step}"
        killed, first = in_child(home, 1, step)
        _, second = in_child(home, 2, None)
        left = [path.name for path in home.rglob("*.tmp")]
        print(json.dumps({"step": step, "killed": killed, "first": first, "second": second, "left": left}), flush=True)
        if not killed:
            return


@pytest.fixture(scope="module")
def killings(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `tests.data_owner.test_kill` says, by step."""
    command = [sys.executable, "-m", "tests.data_owner.test_kill", str(tmp_path_factory.mktemp("killed"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def said(run: list[list[str]], what: str) -> list[str]:
    return [value for name, value in run if name == what]


def test_every_step_of_a_round_is_killed_once(killings: list[dict[str, Any]]) -> None:
    assert [killing["killed"] for killing in killings] == [True] * (len(killings) - 1) + [False]
    assert len(killings) > 15
    last = {killing["first"][-1][0] if killing["first"] else "nothing" for killing in killings}
    assert last == {"nothing", "key", "evaluated", "vector", "end"}


def test_no_kill_gives_a_second_vector_or_key_or_evaluation(killings: list[dict[str, Any]]) -> None:
    for killing in killings:
        both = killing["first"] + killing["second"]
        for what in ("key", "digest", "vector"):
            assert len(set(said(both, what))) <= 1, (what, killing["step"])
        assert len(said(both, "evaluated")) <= 1, killing["step"]


def test_whoever_was_killed_in_a_round_ends_it_after_a_restart(killings: list[dict[str, Any]]) -> None:
    """Only a vector that was deleted after its round is refused, when a chain that forgot everything asks for it again."""
    refused = [killing for killing in killings if said(killing["second"], "refused")]
    assert refused
    assert all(said(killing["first"], "vector") for killing in refused)
    assert all(killing["second"][-1] == ["end", ""] for killing in killings if killing not in refused)
    assert not any(killing["left"] for killing in killings), "what was half written may hold a key or a vector"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
