"""A reorganisation takes an opening back: the round opens again with those who still can take part, or is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnilytics_flwr.errors import NotReopened, SettlementRefused
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.task import TaskId
from tests.model_owner.conftest import Play, addresses, make_play


def forgotten(play: Play) -> TaskId:
    """A delivered round that must be opened again with five of its six groups: a member takes its stake back first."""
    task = play.commit_with_a_leaver(3)
    anchored = play.scene.world.snapshot()
    play.open_and_deliver(task)
    decision = play.keeper.prove()
    play.scene.world.restore(anchored)
    play.scene.ledger(3).depart()
    with pytest.raises(SettlementRefused, match="fewer groups"):
        play.keeper.settle(decision, None)
    assert len(play.keeper.live.roster) == 5
    return task


@pytest.mark.parametrize("projected", [False, True])
def test_round_opens_again_without_the_group_of_who_departed_first(tmp_path: Path, projected: bool) -> None:
    play = make_play(tmp_path, num_owners=18, projected=projected)
    task = forgotten(play)
    assert play.keeper.may_deliver_again() == projected, "a projection names its roster, a vector does not"
    for delivery in play.deliveries(task, play.keeper.live.digests()).values():
        play.add(delivery)
    assert not play.keeper.may_deliver_again()
    decision = play.keeper.prove()
    report = play.keeper.settle(decision, None)
    assert (len(report.accepted), report.waived) == (4, ())
    play.check_learnt(report, decision, task)


def test_who_delivered_for_the_forgotten_roster_is_neither_accused_nor_held_to_be_absent(tmp_path: Path) -> None:
    play = make_play(tmp_path, num_owners=18, projected=True)
    play.keep(missing="accuse")
    task = forgotten(play)
    late = play.groups()[play.keeper.live.roster[0]][0]
    play.lost = {late}
    for delivery in play.deliveries(task, play.keeper.live.digests()).values():
        play.add(delivery)
    report = play.keeper.settle(play.keeper.prove(), None)
    assert (report.accused, report.waived, report.undelivered) == ((), (0,), tuple(addresses({late})))
    play.anchor_and_commit(but={3})
    play.keeper.open()
    assert late in {play.scene.number_of(member.owner) for member in play.keeper.live.roster_members()}


def test_round_that_cannot_be_opened_again_ends_as_not_opened(tmp_path: Path) -> None:
    play = make_play(tmp_path)
    task = play.anchor_and_commit()
    anchored = play.scene.world.snapshot()
    play.open_and_deliver(task)
    decision = play.keeper.prove()
    play.scene.world.restore(anchored)
    play.scene.world.timestamp = play.scene.state.open_by + 1
    with pytest.raises(NotReopened):
        play.keeper.settle(decision, None)
    assert [(report.settled, report.roster) for report in play.keeper.reports] == [(False, ())]
    assert (play.keeper.is_live, play.scene.state.stage) == (False, Stage.ANCHORED)
    report, _, _ = play.run()
    assert report.settled
