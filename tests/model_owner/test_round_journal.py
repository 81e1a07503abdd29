"""Which step a market that has gone back needs again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from omnilytics_flwr.clock import Clock
from omnilytics_flwr.errors import CommitmentsExpired
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.stage import Event, Stage
from omnilytics_flwr.market.task import TaskParts
from omnilytics_flwr.model_owner.live_round import LiveRound
from omnilytics_flwr.model_owner.replay import due
from omnilytics_flwr.model_owner.round_journal import KEPT_ROUNDS
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from omnilytics_flwr.model_owner.run_directory import RunDirectory
from tests.data_owner.owners import TASK
from tests.model_owner.rounds import Play, make_play

NEXT = TaskParts(b"\4" * 32, b"\5" * 32, b"\6" * 32)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Play, dict[str, MarketState], dict[int, LiveRound]]:
    """A market after a settled round and the anchoring of another task; its state after each step, and the rounds as they are kept."""
    play, states = make_play(tmp_path_factory.mktemp("owners")), {}

    def steps() -> Iterator[str]:
        yield "drawn"
        task = play.anchor_and_commit()
        yield "anchored"
        play.open_and_deliver(task)
        yield "opened"
        play.keeper.settle(play.keeper.prove(), NEXT)
        yield "settled"
        play.keeper.anchor(TASK)
        yield "anchored again"

    for name in steps():
        states[name] = play.scene.state
    return play, states, dict(play.keeper._journal.rounds)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("drawn", (Event.ANCHOR, 1)),
        ("anchored", (Event.OPEN, 1)),
        ("opened", (Event.SETTLE, 1)),
        ("settled", (Event.ANCHOR, 3)),
        ("anchored again", None),
    ],
)
def test_step_that_is_due_follows_from_where_the_market_stands(
    walked: tuple[Play, dict[str, MarketState], dict[int, LiveRound]], where: str, expected: tuple[Event, int] | None
) -> None:
    _, states, rounds = walked
    step = due(rounds, states[where])
    assert (step and (step[0], step[1].task.round)) == expected


def test_nothing_is_due_of_other_rounds_tasks_rosters_epochs_or_stages(
    walked: tuple[Play, dict[str, MarketState], dict[int, LiveRound]],
) -> None:
    _, states, rounds = walked
    assert due({}, states["opened"]) is None
    assert due(rounds, replace(states["opened"], roster_hash=bytes(32))) is None
    assert due(rounds, replace(states["anchored"], task_hash=bytes(32))) is None
    for name in ("drawn", "anchored", "opened"):
        assert due(rounds, replace(states[name], epoch=2)) is None
        for stage in (Stage.ENROLLING, Stage.FROZEN, Stage.CLOSED):
            assert due(rounds, replace(states[name], stage=stage)) is None
    live = rounds[1]
    assert due({1: replace(live, opened=False)}, states["anchored"]) is None
    assert due({1: replace(live, call=None)}, states["opened"]) is None


def test_rounds_long_past_are_forgotten(tmp_path: Path) -> None:
    play, directory = make_play(tmp_path), RunDirectory(tmp_path / "run")
    play.keeper = RoundKeeper(play.scene.ledger(), directory=directory)
    for number in range(6):
        play.keeper.anchor(TaskParts(bytes([number]) * 32, b"\5" * 32, b"\6" * 32))
    assert sorted(play.keeper._journal.rounds) == list(range(7 - KEPT_ROUNDS, 7))
    assert len(directory.names("round-")) == KEPT_ROUNDS


def test_catching_up_with_a_market_that_is_where_it_should_be_sends_nothing(play_settled: Play) -> None:
    before = play_settled.scene.world.number
    play_settled.keeper.catch_up()
    assert play_settled.scene.world.number == before


@pytest.fixture
def play_settled(tmp_path: Path) -> Play:
    play = make_play(tmp_path)
    play.run(NEXT)
    return play


def test_step_that_the_market_refuses_to_repeat_is_given_up(tmp_path: Path) -> None:
    """The chain goes back to before the settlement, and comes back only when it is too late to settle."""
    trouble: list[str] = []
    play = make_play(tmp_path)
    play.keeper = RoundKeeper(play.scene.ledger(), on_trouble=trouble.append)
    play.open_and_deliver(play.anchor_and_commit())
    opened = play.scene.world.snapshot()
    play.keeper.settle(play.keeper.prove(), NEXT)
    play.scene.world.restore(opened)
    play.scene.world.timestamp = play.scene.state.settle_by + 1
    play.keeper.catch_up()
    assert len(trouble) == 1
    assert "settle cannot be repeated" in trouble[0]
    assert play.scene.state.stage is Stage.OPEN
    play.keeper.catch_up()
    assert len(trouble) == 1, "it is not tried for ever"


def test_opening_that_was_forgotten_while_nobody_lived_is_given_up_by_the_next_process(tmp_path: Path) -> None:
    """A new process has no requests that data owners could be asked with to sign again, and must not ask for ever."""
    play, directory, trouble = make_play(tmp_path), RunDirectory(tmp_path / "run"), list[str]()
    play.keeper = RoundKeeper(play.scene.ledger(), directory=directory)
    drawn = play.scene.world.snapshot()
    task = play.anchor_and_commit()
    play.open_and_deliver(task)
    play.scene.world.restore(drawn)
    play.scene.world.timestamp += 7
    play.scene.ledger().anchor(task.task_hash)
    play.keeper = RoundKeeper(play.scene.ledger(), directory=directory, on_trouble=trouble.append, clock=Clock(play.pass_time()))
    with pytest.raises(CommitmentsExpired):
        play.keeper.resume()
    assert play.keeper.resume() is None
    assert len(trouble) == 1
    assert "open cannot be repeated" in trouble[0]
    report, _, again = play.run()
    assert report.settled
    assert again == task, "the round is begun once more, with what its data owners have committed to"
