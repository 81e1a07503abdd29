"""A data owner's process killed before each of its durable steps: what is left of it never gives a second vector, key or evaluation."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def killings(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `tests.data_owner.killing` says, by step."""
    command = [sys.executable, "-m", "tests.data_owner.killing", str(tmp_path_factory.mktemp("killed"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def said(run: list[list[str]], what: str) -> list[str]:
    return [value for name, value in run if name == what]


def test_every_step_of_a_round_is_killed_once(killings: list[dict[str, Any]]) -> None:
    """The two keys, the notes, the entry and its emptying: each is several steps."""
    assert [killing["killed"] for killing in killings] == [True] * (len(killings) - 1) + [False]
    assert len(killings) > 15
    last = Counter(killing["first"][-1][0] if killing["first"] else "nothing" for killing in killings)
    assert set(last) == {"nothing", "key", "evaluated", "vector", "end"}
    assert min(last.values()) >= 1


def test_no_kill_gives_a_second_vector_or_key_or_evaluation(killings: list[dict[str, Any]]) -> None:
    for killing in killings:
        both = killing["first"] + killing["second"]
        for what in ("key", "digest", "vector"):
            assert len(set(said(both, what))) <= 1, (what, killing["step"])
        assert len(said(both, "evaluated")) <= 1, killing["step"]


def test_whoever_was_killed_in_a_round_ends_it_after_a_restart(killings: list[dict[str, Any]]) -> None:
    """Only a vector that was deleted after its round is refused, when a chain that forgot everything asks for it again."""
    over = 0
    for killing in killings:
        delivered = bool(said(killing["first"], "vector"))
        if said(killing["second"], "refused"):
            assert delivered
            over += 1
        else:
            assert killing["second"][-1] == ["end", ""]
        assert not killing["left"], "what was half written may hold a key or a vector"
    assert over >= 1
