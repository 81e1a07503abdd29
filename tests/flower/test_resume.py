"""A model owner killed after any of its steps, and started again, ends where it would have ended undisturbed, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAdam, Result

from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.model_owner.round_keeper import Missing
from tests.flower.clients import as_server, lose, make_model, shifted
from tests.flower.killing import Killed, Killer, boundaries, kind_of
from tests.flower.markets import FIRST_NODE, MemoryRun, copy_folder, memory_run, waiter
from tests.support.builders import address_of

ROUNDS = 2
Undisturbed = tuple[Killer, tuple[object, ...]]


class Decaying(FedAdam):
    """Halves the clients' learning rate from round to round, in the configuration of the run."""

    def configure_train(self, server_round, arrays, config, grid):  # type: ignore[no-untyped-def]
        config["lr"] = float(config["lr"]) / 2
        return super().configure_train(server_round, arrays, config, grid)


@dataclass
class World:
    """A market that can be set back to its beginning, with the data owners' folders."""

    run: MemoryRun
    folder: Path
    kept: Path
    beginning: object

    def rewind(self) -> None:
        self.run.scene.world.restore(self.beginning)  # type: ignore[arg-type]
        copy_folder(self.kept, self.folder)
        for context in self.run.grid.contexts.values():
            context.state.clear()
        for trainer in self.run.trainers.values():
            trainer.trained.clear()

    def start(self, run_dir: Path, killer: Killer, missing: Missing = "waive") -> tuple[Result, Omnilytics]:
        """A new process of the model owner."""
        scene = self.run.scene
        strategy = Omnilytics(
            Decaying(eta=0.1, tau=0.1),
            ledger=killer.ledger(scene.ledger()),
            run_dir=run_dir,
            missing=missing,
            private=("head.*",),
            refit=lambda number, whole: shifted(whole, number),
            wait=waiter(scene),
        )
        with killer.watching_files():
            result = strategy.start(
                self.run.grid,
                make_model(),
                ROUNDS,
                train_config=ConfigRecord({"lr": 1.0}),
                evaluate_fn=lambda number, arrays: MetricRecord({"first": float(arrays["body.bias"].numpy()[0])}),
            )
        return result, strategy


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("owners")
    run = memory_run(folder, initial_model=lambda context: make_model(50), weights=24, commit_seconds=3600)
    kept = tmp_path_factory.mktemp("kept") / "owners"
    copy_folder(folder, kept)
    return World(run, folder, kept, run.scene.world.snapshot())


def outcome(world: World, result: Result) -> tuple[object, ...]:
    """All that must be the same: the model, the results, the books."""
    state = world.run.scene.state
    return (
        {name: array.data for name, array in result.arrays.items()},
        {number: dict(metrics) for number, metrics in result.train_metrics_clientapp.items()},
        {number: dict(metrics) for number, metrics in result.evaluate_metrics_serverapp.items()},
        (state.stage, state.round, state.task_hash, state.escrow_wei, state.bond_wei, state.owed_wei, state.stakes_wei),
        tuple(world.run.scene.market.paid_seats(number) for number in (1, 2)),
        world.run.scene.surplus_wei(),
    )


@pytest.fixture(scope="module")
def undisturbed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Steps and outcome of a run that nothing disturbs."""
    world.rewind()
    killer = Killer()
    with as_server():
        result, _ = world.start(tmp_path_factory.mktemp("undisturbed"), killer)
    return killer, outcome(world, result)


KillAt = Callable[..., None]


@pytest.fixture
def kill_at(world: World, tmp_path: Path, undisturbed: Undisturbed) -> KillAt:
    """Kill one process after another, each after a step of this number, and let the last one end."""

    def kill(*strikes: int) -> None:
        world.rewind()
        killers = [*map(Killer, strikes), Killer()]
        run_dir = tmp_path / "-".join(map(str, strikes))
        for killer in killers[:-1]:
            with pytest.raises(Killed):
                world.start(run_dir, killer)
        result, strategy = world.start(run_dir, killers[-1])
        assert outcome(world, result) == undisturbed[1]
        sent = [step for killer in killers for step in killer.sent]
        assert sent == undisturbed[0].sent, "no step is taken twice, none is forgotten"
        assert all(report.settled for report in strategy.reports)
        assert all(len(trainer.trained) == ROUNDS for trainer in world.run.trainers.values()), "nobody trains twice for one round"
        kept = {kind_of(path.stem) for path in run_dir.glob("*.npz")} - {"absent"}  # who did not commit is remembered for the epoch
        assert kept == {"market", "progress", "results", "round"}, "vectors and outcomes go when their round is booked"

    return kill


STRIKES = [
    ("write progress", 0),
    ("write round", 0),
    ("send anchor", 0),
    ("write round", 2),
    ("send open", 0),
    ("write delivery", 7),
    ("write outcome", 0),
    ("write round", 3),
    ("send settle", 0),
    ("write progress", 1),
    ("delete delivery", 7),
    ("send open", 1),
    ("send settle", 1),
    ("write progress", 2),
]
"""Steps after which to strike, and how often they were done before."""
QUICK = STRIKES[2:9:2]
"""Those that every run of the tests strikes after."""


@pytest.mark.parametrize(
    ("step", "times"), [pytest.param(*strike, marks=() if strike in QUICK else pytest.mark.slow) for strike in STRIKES]
)
def test_killed_after_a_step_ends_as_undisturbed(kill_at: KillAt, undisturbed: Undisturbed, step: str, times: int) -> None:
    kill_at([place for place, done in enumerate(undisturbed[0].steps) if done == step][times])


def test_killed_again_and_again_ends_as_undisturbed(kill_at: KillAt) -> None:
    kill_at(5, 2, 9, 6, 4, 3, 2)


@pytest.mark.slow
def test_killed_after_each_step_ends_as_undisturbed(kill_at: KillAt, undisturbed: Undisturbed) -> None:
    for strike in boundaries(undisturbed[0].steps):
        kill_at(strike)


def test_run_that_is_over_gives_its_result_again_and_does_nothing(world: World, tmp_path: Path, undisturbed: Undisturbed) -> None:
    world.rewind()
    world.start(tmp_path, Killer())
    killer = Killer()
    result, strategy = world.start(tmp_path, killer)
    assert outcome(world, result) == undisturbed[1]
    assert not strategy.reports
    assert not killer.sent


@pytest.mark.parametrize("strike", ["send accuse", "write round"])
def test_killed_while_accused_are_waited_for_ends_as_undisturbed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strike: str
) -> None:
    """A data owner never delivers: it is accused, once, and its group is void, whoever waits for it."""
    monkeypatch.setattr(world.run.grid, "on_request", lose("deliver", FIRST_NODE + 6))

    def end(run_dir: Path, killer: Killer) -> tuple[object, ...]:
        result, strategy = world.start(run_dir, killer, "accuse")
        report = strategy.reports[0]
        return (*outcome(world, result), report.void, report.accused, report.waived)

    world.rewind()
    undisturbed, later = Killer(), Killer()
    expected = end(tmp_path / "undisturbed", undisturbed)
    world.rewind()
    with pytest.raises(Killed):
        world.start(tmp_path / "run", Killer(undisturbed.steps.index(strike, undisturbed.steps.index("send accuse"))), "accuse")
    assert end(tmp_path / "run", later) == expected
    assert "accuse" not in later.sent
    void = next(position for position, group in enumerate(world.run.groups()) if 6 in group)
    assert expected[-3:-1] == ((void,), (address_of(6),))
