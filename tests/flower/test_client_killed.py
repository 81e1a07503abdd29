"""A Flower client is killed at each step of its work: it keeps nothing, so the round ends as if its message had been lost."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
from flwr.app import Message

from omnilytics_flwr.data_owner.owner_agent import OwnerAgent
from omnilytics_flwr.flower.mod import OmnilyticsMod
from tests.flower.clients import FakeGrid, make_model
from tests.flower.killing import Killed
from tests.flower.markets import FIRST_NODE, MemoryRun, memory_run
from tests.support.builders import address_of

VICTIM = 6
NODE = FIRST_NODE + VICTIM
IN_TRAIN = ("before admit", "after admit", "before commit", "after commit")
IN_DELIVER = ("before deliver", "after deliver")
IN_EVALUATE = ("before admit_evaluation", "after admit_evaluation")


class Deadly:
    """An owner agent whose client is killed once, before or after one of its calls."""

    def __init__(self, agent: OwnerAgent, steps: list[str]) -> None:
        self._agent, self._steps = agent, steps

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self._die(f"before {name}")
            answer = getattr(self._agent, name)(*arguments)
            self._die(f"after {name}")
            return answer

        return call

    def _die(self, step: str) -> None:
        if step in self._steps:
            self._steps.remove(step)
            raise Killed(step)


class MortalGrid(FakeGrid):
    """Nodes whose clients may be killed: no reply comes, and the state of the client's context is that from before."""

    def _answer(self, message: Message) -> Message | None:
        node = message.metadata.dst_node_id
        before = copy.deepcopy(self.contexts[node])
        try:
            return super()._answer(message)
        except Killed:
            self.contexts[node] = before
            return None


def killed_run(folder: Path, step: str) -> MemoryRun:
    """Two rounds of 18 data owners; the victim's client is killed at this step of the first."""
    run, steps = memory_run(folder, num_owners=18), [step]
    mod = OmnilyticsMod(agent=lambda context: cast("OwnerAgent", Deadly(run.owners[VICTIM].agent(), steps)))
    run.grid.apps[NODE] = run.trainers[VICTIM].app(mod)
    run.strategy.start(MortalGrid(run.grid.apps), make_model(), 2)
    assert not steps, "it was killed"
    assert [report.settled for report in run.reports] == [True, True]
    assert run.scene.surplus_wei() == 0
    return run


def took_part(run: MemoryRun) -> list[bool]:
    """In which of the rounds the victim was on the roster."""
    return [any(address_of(VICTIM) in group for group in report.roster) for report in run.reports]


@pytest.mark.parametrize("step", IN_TRAIN)
def test_client_killed_in_training_sits_out_one_round(tmp_path: Path, step: str) -> None:
    run = killed_run(tmp_path, step)
    assert took_part(run) == [False, True]
    assert all(len(group) == 3 for group in run.reports[0].roster)


def test_client_killed_after_committing_has_used_the_mask_of_that_round_once(tmp_path: Path) -> None:
    run = killed_run(tmp_path, "after commit")
    owner, market = run.owners[VICTIM], run.scene.market
    assert owner.journal.find(run.scene.world.chain_id, market.address, run.reports[0].round) is not None
    assert took_part(run) == [False, True], "what it committed to never left"
    assert len(run.trainers[VICTIM].trained) == 2


@pytest.mark.parametrize("step", IN_DELIVER)
def test_client_killed_in_delivering_is_not_waited_for_and_left_out_while_others_are_enough(tmp_path: Path, step: str) -> None:
    run = killed_run(tmp_path, step)
    assert took_part(run) == [True, False], "with a spare group nobody waits for it, nor counts on it again"
    (waived,) = run.reports[0].waived
    assert address_of(VICTIM) in run.reports[0].roster[waived]
    assert [len(report.roster) for report in run.reports] == [6, 5]
    assert all(report.accused == () for report in run.reports)


@pytest.mark.parametrize("step", IN_EVALUATE)
def test_client_killed_in_evaluating_takes_part_in_the_next_round(tmp_path: Path, step: str) -> None:
    run = killed_run(tmp_path, step)
    assert took_part(run) == [True, True]
    assert all((len(report.roster), report.waived, report.accused) == (6, (), ()) for report in run.reports)
