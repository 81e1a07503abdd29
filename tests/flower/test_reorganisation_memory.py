"""A chain that forgets steps of the model owner: they are taken again, and every round ends as if nothing had happened."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flwr.serverapp.strategy import FedAvg, Result

from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.stage import Stage
from tests.flower.clients import make_model
from tests.flower.killing import Killer
from tests.flower.markets import FIRST_NODE, MemoryRun, accepted_owners, memory_run, waiter

STEPS = ["anchor", "open", "settle", "open", "settle"]


@dataclass
class Remembering(Killer):
    """Remembers how the world was before the first transaction of each kind."""

    run: MemoryRun | None = None
    before: dict[str, object] = field(default_factory=dict)

    def about_to(self, step: str) -> None:
        assert self.run is not None
        self.before.setdefault(step, self.run.scene.world.snapshot())


def two_rounds(
    folder: Path, stage: tuple[int, str], forgotten: str, later: int, silent: int | None = None, projected: bool = False
) -> tuple[Result, MemoryRun, list[str]]:
    """Two rounds; when a stage of one begins, the chain goes back to before a transaction of the first, and `later` seconds pass.

    From then on a data owner may be silent.
    """
    run = memory_run(folder, commit_seconds=3600, num_owners=15 if silent is None else 18, projected=projected)
    memory = Remembering(run=run)
    struck: list[tuple[int, str]] = []

    def strike(number: int, name: str) -> None:
        if (number, name) == stage and not struck:
            struck.append(stage)
            run.scene.world.restore(memory.before[f"send {forgotten}"])  # type: ignore[arg-type]
            run.scene.world.wait(later)
            if silent is not None:
                run.grid.on_request = lambda node, message: None if node == FIRST_NODE + silent else message

    run.strategy = Omnilytics(FedAvg(), ledger=memory.ledger(run.scene.ledger()), on_stage=strike, wait=waiter(run.scene))
    result = run.strategy.start(run.grid, make_model(), 2)
    assert struck
    assert run.scene.surplus_wei() == 0
    return result, run, memory.sent


CASES: dict[str, tuple[tuple[int, str], str, int]] = {
    # stage that begins, transaction that is forgotten with all after it, seconds
    "anchor, before it opens": ((1, "open"), "anchor", 0),
    "anchor, before it opens, later": ((1, "open"), "anchor", 5),
    "open, right after": ((1, "deliver"), "open", 0),
    "open, later": ((1, "deliver"), "open", 9),
    "anchor and open, right after": ((1, "deliver"), "anchor", 0),
    "anchor and open, later": ((1, "deliver"), "anchor", 7),
    "open, before proving": ((1, "prove"), "open", 3),
    "anchor and open, before settling": ((1, "settle"), "anchor", 7),
    "settle, right after": ((1, "done"), "settle", 4),
    "open and settle, right after": ((1, "done"), "open", 4),
    "everything, right after settling": ((1, "done"), "anchor", 4),
    "settle, when the next trains": ((2, "train"), "settle", 4),
    "everything, when the next has opened": ((2, "deliver"), "anchor", 0),
    "everything, when the next settles": ((2, "settle"), "anchor", 0),
}


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow if place % 3 else ()) for place, case in enumerate(CASES)])
def test_forgotten_steps_are_taken_again(tmp_path: Path, case: str) -> None:
    stage, forgotten, later = CASES[case]
    result, run, sent = two_rounds(tmp_path, stage, forgotten, later)
    again = STEPS[STEPS.index(forgotten) :]
    first = len(sent) - len(again)
    assert (sent[:first], sent[first:]) == (STEPS[:first], again)
    assert [(report.round, report.settled) for report in run.reports] == [(1, True), (2, True)]
    state = run.scene.state
    assert (state.stage, state.round) == (Stage.ANCHORED, 3)
    assert state.owed_wei == 24 * run.scene.terms.reward_wei, "both rounds are paid, once"
    assert all(len(trainer.trained) == 2 for trainer in run.trainers.values()), "who has trained does not train again"
    assert set(run.reports[0].paid) == set(accepted_owners(run.reports[0]))
    assert len(result.arrays) == len(make_model())


def test_forgotten_round_that_is_not_signed_again_is_given_up_and_the_run_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="flwr"):
        _, run, _ = two_rounds(tmp_path, (2, "train"), "anchor", later=5, silent=4)
    assert "cannot be repeated" in caplog.text
    assert [(report.round, report.settled) for report in run.reports] == [(1, True), (2, True)]
    assert [bool(run.scene.market.paid_seats(number)) for number in (1, 2)] == [False, True]


def test_forgotten_opening_that_comes_too_late_to_be_repeated_ends_the_round_and_not_the_run(tmp_path: Path) -> None:
    result, run, _ = two_rounds(tmp_path, (1, "settle"), "open", later=3601)
    assert [report.settled for report in run.reports] == [False, True]
    assert not run.scene.market.paid_seats(1)
    assert len(result.arrays) == len(make_model())


@pytest.mark.parametrize(("stage", "projected"), [("deliver", False), ("settle", True)])
def test_forgotten_opening_goes_on_without_the_group_of_who_does_not_sign_again(tmp_path: Path, stage: str, projected: bool) -> None:
    """The others deliver again where what they delivered names the larger roster: nobody is waived for it."""
    _, run, _ = two_rounds(tmp_path, (1, stage), "anchor", later=5, silent=4, projected=projected)
    report = run.reports[0]
    assert (report.settled, len(report.roster), report.waived, report.undelivered) == (True, 5, (), ())
    assert len(report.accepted) == 4
    assert run.owners[4].address not in {owner for group in report.roster for owner in group}
