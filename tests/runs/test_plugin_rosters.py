"""A market whose data owners come and go while an app trains: silent ones, newcomers, epochs; and what run config and terms say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.app import ArrayRecord, Message
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.wire import RECORD
from omnilytics_flwr.market.stage import Stage
from tests.data_owner.owners import Owner
from tests.flower.clients import Trainer, as_server, make_context, make_model
from tests.flower.markets import FIRST_NODE, MemoryRun, assert_close, memory_run
from tests.support.builders import WEALTH_WEI, address_of
from tests.support.repeatable import repeatable_owners as repeatable_owners

NEWCOMER = 15
TWO_EPOCHS = {"most-peer-sets": 2, "least-draw-delay-blocks": 0}
"""Policy of data owners that stay when groups are drawn again: by default, groups of three see one data set once."""


@pytest.fixture(autouse=True)
def task_identity() -> Iterator[None]:
    with as_server():
        yield


def asks_to(exchange: str, message: Message) -> bool:
    return str(message.content.config_records[RECORD]["exchange"]) == exchange


def newcomer_for(play: MemoryRun, folder: Path) -> Owner:
    """A data owner with ether, a folder and a client, who is of no epoch yet."""
    owner = Owner(play.scene, NEWCOMER, folder / "newcomer", Policy.from_mapping({"least-draw-delay-blocks": 0}))
    play.scene.num_owners = NEWCOMER + 1
    play.scene.world.balances[owner.address] = WEALTH_WEI
    agent, trainer = owner.agent(), Trainer(make_model(100 + NEWCOMER), metrics={"loss": 15.0, "num-examples": 10})
    play.owners[NEWCOMER], play.trainers[NEWCOMER] = owner, trainer
    play.grid.apps[FIRST_NODE + NEWCOMER] = trainer.app(OmnilyticsMod(agent=lambda context: agent))
    play.grid.contexts[FIRST_NODE + NEWCOMER] = make_context(FIRST_NODE + NEWCOMER, **{"partition-id": NEWCOMER})
    return owner


def begin_next_epoch(play: MemoryRun) -> None:
    for owner in play.owners.values():
        owner.agent().join()
    play.scene.freeze_and_draw()


def accepted_in(play: MemoryRun, report: int) -> tuple[str, ...]:
    one = play.reports[report]
    return tuple(owner for position in one.accepted for owner in one.roster[position])


def test_every_round_has_the_roster_of_the_whole_groups_that_take_part(tmp_path: Path) -> None:
    silent = {1: 4, 2: 11, 3: 0}
    play = memory_run(tmp_path, num_owners=18)
    now = {"round": 1}

    def lose(node: int, message: Message) -> Message | None:
        return None if node - FIRST_NODE == silent[now["round"]] and asks_to("train", message) else message

    play.grid.on_request = lose
    models: list[ArrayRecord] = []

    def next_round(number: int, arrays: ArrayRecord) -> None:
        models.append(arrays)
        now["round"] = number + 1

    play.strategy.start(play.grid, make_model(), 3, evaluate_fn=next_round)
    assert [report.settled for report in play.reports] == [True] * 3
    for place, (report, number) in enumerate(zip(play.reports, silent.values(), strict=True)):
        out = {address_of(member) for group in play.groups() if number in group for member in group}
        everybody = {owner for group in report.roster for owner in group}
        assert everybody == {address_of(member) for member in play.owners} - out, "its whole group sits out, and nobody else"
        assert set(report.paid) == set(accepted_in(play, place))
        assert_close(models[place + 1], play.expected(models[place], accepted_in(play, place)))  # type: ignore[arg-type]
    assert len({frozenset(group for group in report.roster) for report in play.reports}) > 1, "rosters differ"


def test_newcomer_is_refused_until_the_next_epoch_and_takes_part_from_then_on(tmp_path: Path) -> None:
    play = memory_run(tmp_path, policy=TWO_EPOCHS)
    owner = newcomer_for(play, tmp_path)

    def after(number: int, arrays: ArrayRecord) -> None:
        if number == 1:
            begin_next_epoch(play)

    play.strategy.start(play.grid, make_model(), 2, evaluate_fn=after)
    assert [(report.epoch, report.settled) for report in play.reports] == [(1, True), (2, True)]
    assert owner.address not in play.reports[0].committed
    assert len(play.trainers[NEWCOMER].trained) == 1, "nothing of it is trained before it is of an epoch"
    assert owner.address in play.reports[1].committed
    assert owner.address in {member for group in play.reports[1].roster for member in group}
    paid = play.scene.market.claimable_wei(owner.address)
    assert paid == (play.scene.terms.reward_wei if owner.address in play.reports[1].paid else 0)
    assert play.scene.surplus_wei() == 0


def test_run_that_outlasts_its_epoch_ends_with_what_it_has_and_goes_on_in_the_next(tmp_path: Path) -> None:
    play = memory_run(tmp_path, policy=TWO_EPOCHS, rounds_per_epoch=2)
    result = play.strategy.start(play.grid, make_model(), 4)
    assert [(report.epoch, report.settled) for report in play.reports] == [(1, True), (1, True)]
    assert all(len(trainer.trained) == 2 for trainer in play.trainers.values()), "nobody trains for a round that cannot open"
    assert list(result.train_metrics_clientapp) == [1, 2]
    owner = newcomer_for(play, tmp_path)
    begin_next_epoch(play)
    models: list[ArrayRecord] = []
    play.strategy.start(play.grid, result.arrays, 1, evaluate_fn=lambda number, arrays: models.append(arrays))
    assert [(report.epoch, report.settled) for report in play.reports[2:]] == [(2, True)]
    assert {name: array.data for name, array in models[0].items()} == {name: array.data for name, array in result.arrays.items()}
    assert owner.address in play.reports[2].committed
    assert_close(models[1], play.expected(models[0], accepted_in(play, 2)))  # type: ignore[arg-type]


def test_epoch_that_is_being_drawn_stops_the_run_with_the_reason(tmp_path: Path) -> None:
    play = memory_run(tmp_path)

    def freeze_only(number: int, arrays: ArrayRecord) -> None:
        if number == 1:
            for owner in play.owners.values():
                owner.agent().join()
            play.scene.ledger().freeze()

    with pytest.raises(OmnilyticsError, match="stage frozen; this needs idle or anchored"):
        play.strategy.start(play.grid, make_model(), 2, evaluate_fn=freeze_only)
    assert play.scene.state.stage is Stage.FROZEN
    assert play.reports[0].settled


@pytest.mark.parametrize("metrics", [("loss", "num-examples"), ()])
def test_evaluation_tells_what_the_terms_name_and_no_more(tmp_path: Path, metrics: tuple[str, ...]) -> None:
    play = memory_run(tmp_path, inner=FedAvg(fraction_evaluate=1.0), metrics=metrics)
    result = play.strategy.start(play.grid, make_model(), 1)
    assert set(result.evaluate_metrics_clientapp[1]) == set(metrics) - {"num-examples"}
