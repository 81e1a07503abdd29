"""A chain that forgets steps of the model owner: they are taken again, and every round ends as if nothing had happened."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import pytest
from flwr.serverapp.strategy import FedAvg, Result

from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.task import TaskId
from tests.flower.clients import make_model
from tests.flower.killing import TRANSACTIONS
from tests.flower.markets import FIRST_NODE, MemoryRun, memory_run, waiter

ROUNDS = 2


class Remembering:
    """Remembers how the world was before each transaction of the model owner."""

    def __init__(self, run: MemoryRun, ledger: ModelOwnerLedger) -> None:
        self.run, self.ledger = run, ledger
        self.before: dict[tuple[str, int], Any] = {}
        self.sent: list[str] = []

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.ledger, name)
        if name not in TRANSACTIONS:
            return value

        def send(*arguments: object) -> object:
            world = self.run.scene.world.snapshot()
            receipt = value(*arguments)
            self.sent.append(name)
            self.before.setdefault((name, self.sent.count(name)), world)
            return receipt

        return send


def two_rounds(
    folder: Path, stage: tuple[int, str], forgotten: tuple[str, int] | None, later: int = 0, silent: int | None = None
) -> tuple[Result, MemoryRun, list[str]]:
    """Two rounds; when a stage of one begins, the chain goes back to before a transaction, and `later` seconds pass.

    From then on a data owner may be silent.
    """
    run = memory_run(folder, commit_seconds=3600, num_owners=15 if silent is None else 18)
    for owner in run.owners.values():
        owner.keys.rounding_key(TaskId(1, owner.address, 1, 1, bytes(32)))
    ledger = Remembering(run, run.scene.ledger())
    struck: list[tuple[int, str]] = []

    def strike(number: int, name: str) -> None:
        if (number, name) == stage and not struck and forgotten is not None:
            struck.append(stage)
            run.scene.world.restore(ledger.before[forgotten])
            run.scene.world.wait(later)
            if silent is not None:
                run.grid.on_request = lambda node, message: None if node == FIRST_NODE + silent else message

    strategy = Omnilytics(FedAvg(), ledger=cast("ModelOwnerLedger", ledger), on_stage=strike, wait=waiter(run.scene))
    run.strategy = strategy
    result = strategy.start(run.grid, make_model(), ROUNDS)
    assert bool(struck) == (forgotten is not None)
    return result, run, ledger.sent


CASES: dict[str, tuple[tuple[int, str], tuple[str, int], int, list[str]]] = {
    # stage that begins, transaction that is forgotten with all after it, seconds, transactions from then on
    "anchor, before it opens": ((1, "open"), ("anchor", 1), 0, ["anchor", "open", "settle", "open", "settle"]),
    "anchor, before it opens, later": ((1, "open"), ("anchor", 1), 5, ["anchor", "open", "settle", "open", "settle"]),
    "open, right after": ((1, "deliver"), ("open", 1), 0, ["open", "settle", "open", "settle"]),
    "open, later": ((1, "deliver"), ("open", 1), 9, ["open", "settle", "open", "settle"]),
    "anchor and open, right after": ((1, "deliver"), ("anchor", 1), 0, ["anchor", "open", "settle", "open", "settle"]),
    "anchor and open, later": ((1, "deliver"), ("anchor", 1), 7, ["anchor", "open", "settle", "open", "settle"]),
    "open, before proving": ((1, "prove"), ("open", 1), 3, ["open", "settle", "open", "settle"]),
    "anchor and open, before settling": ((1, "settle"), ("anchor", 1), 7, ["anchor", "open", "settle", "open", "settle"]),
    "settle, right after": ((1, "done"), ("settle", 1), 4, ["settle", "open", "settle"]),
    "open and settle, right after": ((1, "done"), ("open", 1), 4, ["open", "settle", "open", "settle"]),
    "everything, right after settling": ((1, "done"), ("anchor", 1), 4, ["anchor", "open", "settle", "open", "settle"]),
    "settle, when the next trains": ((2, "train"), ("settle", 1), 4, ["settle", "open", "settle"]),
    "everything, when the next has opened": ((2, "deliver"), ("anchor", 1), 0, ["anchor", "open", "settle", "open", "settle"]),
    "everything, when the next settles": ((2, "settle"), ("anchor", 1), 0, ["anchor", "open", "settle", "open", "settle"]),
}


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow if place % 3 else ()) for place, case in enumerate(CASES)])
def test_forgotten_steps_are_taken_again(tmp_path: Path, case: str) -> None:
    stage, forgotten, later, expected = CASES[case]
    result, run, sent = two_rounds(tmp_path, stage, forgotten, later)
    assert sent[len(sent) - len(expected) :] == expected
    assert sent[: len(sent) - len(expected)] == ["anchor", "open", "settle", "open", "settle"][: len(sent) - len(expected)]
    assert [(report.round, report.settled) for report in run.reports] == [(1, True), (2, True)]
    state = run.scene.state
    assert (state.stage, state.round) == (Stage.ANCHORED, 3)
    assert state.owed_wei == 24 * run.scene.terms.reward_wei, "both rounds are paid, once"
    assert run.scene.surplus_wei() == 0
    assert all(len(trainer.trained) == ROUNDS for trainer in run.trainers.values()), "who has trained does not train again"
    accepted = [owner for position in run.reports[0].accepted for owner in run.reports[0].roster[position]]
    assert set(run.reports[0].paid) == set(accepted)
    assert len(result.arrays) == len(make_model())


def test_forgotten_round_that_is_not_signed_again_is_given_up_and_the_run_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="flwr"):
        _, run, _ = two_rounds(tmp_path, (2, "train"), ("anchor", 1), later=5, silent=4)
    assert "cannot be repeated" in caplog.text
    assert [(report.round, report.settled) for report in run.reports] == [(1, True), (2, True)]
    assert run.scene.market.paid_seats(1) == 0
    assert run.scene.market.paid_seats(2)
    assert run.scene.surplus_wei() == 0


def test_forgotten_opening_goes_on_without_the_group_of_who_does_not_sign_again(tmp_path: Path) -> None:
    _, run, _ = two_rounds(tmp_path, (1, "deliver"), ("anchor", 1), later=5, silent=4)
    report = run.reports[0]
    assert report.settled
    assert len(report.roster) == 5
    assert run.owners[4].address not in {owner for group in report.roster for owner in group}
    assert run.scene.surplus_wei() == 0
