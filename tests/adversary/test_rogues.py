"""Owner agents that break the protocol, against real agents, keeper, proofs and market: who is paid, and who loses what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr import errors
from omnilytics_flwr.adversary.rogues import Rogue
from omnilytics_flwr.errors import BadPoint, OmnilyticsError, OutOfTurn, ProtocolError, Refused, TaskMismatch
from omnilytics_flwr.market.refusals import BadMaskKey, OnRoster, TooEarly, TooLate
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.data_owner.owners import make_wallet
from tests.support.builders import address_of, make_mask_key

from .conftest import REWARD_WEI, STAKE_WEI, Game, make_game

NO_DELIVERY: dict[str, type[OmnilyticsError] | None] = {
    "never-delivers": Refused,
    "leaves": Refused,
    "delivers-another": None,
    "delivers-wrong-length": errors.WrongLength,
    "delivers-not-canonical": errors.NotCanonical,
    "commits-to-garbage": BadPoint,
}
"""Rogues without a valid delivery, and how the keeper, or they themselves, say so; None if only the proof finds out."""


@pytest.fixture
def game(tmp_path: Path) -> Game:
    """Five groups, as many as a round needs."""
    return make_game(tmp_path)


@pytest.fixture
def large(tmp_path: Path) -> Game:
    """Six groups, one more than a round needs."""
    return make_game(tmp_path, num_owners=18)


def assert_nobody_else_suffers(game: Game, *groups: int) -> None:
    """Of all others, only the members of the f = 1 groups that always go unpaid are not paid; everybody keeps its stake."""
    others = game.others(*groups)
    assert all(game.has_stake(number) for number in others)
    owed = game.owed()
    assert sum(owed[number] == 0 for number in others) <= 3
    assert {owed[number] for number in others} <= {0, REWARD_WEI}


def test_rogue_that_overrides_nothing_is_an_honest_owner(game: Game) -> None:
    attacker = game.group()[0]
    owner = game.owners[attacker]
    game.rogues[attacker] = Rogue(owner.agent(), signer=make_wallet(attacker), journal=owner.journal)
    report = game.play()
    assert game.refused == {}
    assert address_of(attacker) in report.committed
    assert (len(report.accepted), len(report.dropped)) == (4, 1)
    assert sum(game.owed().values()) == 12 * REWARD_WEI


# Not delivering


@pytest.mark.parametrize("names", [("never-delivers", "leaves", "delivers-another"), tuple(NO_DELIVERY)[3:]], ids=", ".join)
def test_owner_without_a_valid_delivery_loses_its_stake_to_its_group(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Three rogues, each in a group of its own; with three groups left nobody else goes unpaid."""
    game = make_game(tmp_path, num_owners=18)
    attackers = [game.turn_one(name, place) for place, name in enumerate(names)]
    before = game.scene.state
    report = game.play()
    owed = game.owed()
    for place, (attacker, name) in enumerate(zip(attackers, names, strict=True)):
        said = NO_DELIVERY[name]
        assert [type(error) for error in game.refused.get(attacker, [])] == ([said] if said else []), name
        assert game.fate(report, place) == "void", name
        assert not game.has_stake(attacker), name
        assert [owed[number] for number in game.group(place)] == [0, REWARD_WEI, REWARD_WEI], name
    assert before.stakes_wei - game.scene.state.stakes_wei == 3 * STAKE_WEI
    assert game.scene.state.credits_wei == 3 * (STAKE_WEI - 2 * REWARD_WEI), "burned"
    assert_nobody_else_suffers(game, 0, 1, 2)


def test_owner_without_a_valid_delivery_is_paid_by_a_model_owner_that_waives(tmp_path: Path) -> None:
    """The price of not waiting: whoever waives pays everybody, the attacker as well."""
    game = make_game(tmp_path, missing="waive")
    attackers = [game.turn_one(name, place) for place, name in enumerate(("never-delivers", "delivers-another"))]
    report = game.play()
    for place, attacker in enumerate(attackers):
        assert game.fate(report, place) == "waived"
        assert game.has_stake(attacker)
        assert {game.owed()[number] for number in game.group(place)} == {REWARD_WEI}


def test_owner_that_leaves_in_mid_round_cannot_take_its_stake_along(game: Game) -> None:
    attacker = game.turn_one("leaves")
    task, rogue = game.anchor(), game.rogues[attacker]
    game.commit(task)
    game.deliver(task, game.keeper.open())
    with pytest.raises(TooEarly):
        rogue.ledger.depart()
    game.scene.world.timestamp = game.scene.market.owner_record(address_of(attacker)).leave_at
    with pytest.raises((TooEarly, OnRoster)):
        rogue.ledger.depart()


def test_slashed_owner_is_on_no_roster_before_it_stakes_again(large: Game) -> None:
    attacker = large.turn_one("never-delivers")
    large.play(1)
    del large.rogues[attacker]
    report = large.play(2)
    assert large.fate(report, 0) == "absent"
    large.owners[attacker].agent().join()
    assert large.has_stake(attacker)


# Not committing


def test_owner_that_never_commits_costs_its_group_the_round_and_nobody_else(large: Game) -> None:
    large.turn_one("never-commits")
    report = large.play()
    assert large.fate(report, 0) == "absent"
    assert all(large.owed()[number] == 0 for number in large.group())
    assert all(large.has_stake(number) for number in large.owners)
    assert_nobody_else_suffers(large, 0)


def test_owners_of_two_groups_that_never_commit_cost_those_the_round_and_no_time(large: Game) -> None:
    """The others go on, however few: four groups tolerate none that is faulty, and all are paid."""
    for place in (0, 1):
        large.turn(large.group(place)[0], "never-commits")
    report = large.play()
    assert (len(report.accepted), report.tolerated) == (4, 0)
    assert {large.owed()[number] for number in large.others(0, 1)} == {REWARD_WEI}
    assert {large.owed()[number] for number in (*large.group(0), *large.group(1))} == {0}


def test_signed_projection_of_another_vector_is_no_delivery(tmp_path: Path) -> None:
    """The contract cannot tell; the model owner projects and accuses, and when that is answered on chain the group is waived."""
    game = make_game(tmp_path, num_owners=18, projected=True)
    attacker = game.group()[1]
    game.turn(attacker, "projects-another")
    report = game.play()
    assert game.fate(report, 0) in ("waived", "void")
    assert report.learnt == report.accepted
    assert_nobody_else_suffers(game, 0)


def test_commitment_that_comes_after_the_window_stops_a_model_owner_that_waits_for_it(game: Game) -> None:
    attacker = game.turn_one("late", wait=lambda: game.scene.world.wait(game.scene.terms.commit_seconds + 1), exchange="commit")
    task = game.anchor()
    game.commit(task, set(game.owners) - {attacker})
    game.commit(task, [attacker])
    with pytest.raises(TooLate):
        game.keeper.open()


def test_commitment_that_comes_after_the_opening_changes_nothing(large: Game) -> None:
    attacker = large.turn_one("late", wait=lambda: None, exchange="commit")
    task = large.anchor()
    large.commit(task, set(large.owners) - {attacker})
    digests = large.keeper.open()
    large.commit(task, [attacker])
    assert [type(error) for error in large.refused[attacker]] == [OutOfTurn]
    large.deliver(task, digests)
    assert large.fate(large.settle(), 0) == "absent"


def test_delivery_that_comes_after_the_settlement_is_refused(game: Game) -> None:
    held: list[Any] = []
    attacker = game.turn_one("late", wait=lambda: held.append(game.scene.state.stage))
    task, rogue = game.anchor(), game.rogues[attacker]
    game.commit(task)
    digests = game.keeper.open()
    late = rogue.deliver(task.chain_id, game.scene.market.address, task.epoch, task.round, digests)
    game.turn(attacker, "never-delivers")
    game.deliver(task, digests)
    report = game.settle()
    assert len(held) == 1
    assert game.fate(report, 0) == "void"
    with pytest.raises(ProtocolError, match="no round is live"):
        game.keeper.add_delivery(late.owner, late.vector, late.points)


# Two tongues


def test_second_commitment_is_refused_and_its_vector_too(game: Game) -> None:
    attacker = game.turn_one("signs-two")
    task = game.anchor()
    game.commit(task)
    game.commit(task, [attacker])
    game.deliver(task, game.keeper.open())
    report = game.settle()
    messages = list(map(str, game.refused[attacker]))
    assert "has committed to another vector in this round; the first one counts" in messages[0]
    assert "is not that of its digest" in messages[1]
    assert game.fate(report, 0) == "void"
    assert not game.has_stake(attacker)


def test_commitment_of_an_earlier_round_is_refused(large: Game) -> None:
    attacker = large.turn_one("replays-commitment")
    assert large.fate(large.play(1), 0) != "absent"
    report = large.play(2)
    assert [type(error) for error in large.refused[attacker]] == [TaskMismatch]
    assert large.fate(report, 0) == "absent"


def test_delivery_of_an_earlier_round_is_refused_and_costs_the_stake(game: Game) -> None:
    attacker = game.turn_one("replays-delivery")
    assert game.fate(game.play(1), 0) in ("accepted", "dropped")
    report = game.play(2)
    assert ["is not that of its digest" in str(error) for error in game.refused[attacker]] == [True]
    assert game.fate(report, 0) == "void"
    assert not game.has_stake(attacker)


@pytest.mark.parametrize("exchange", ["commit", "deliver"])
def test_copied_digest_or_copied_vector_alone_is_no_delivery_and_costs_the_stake(large: Game, exchange: str) -> None:
    """Whoever signs another's digest must have its vector as well, and whoever sends another's vector must have signed its digest."""
    victim = large.group(1)[0]
    report = copy(large, victim, exchange)
    attacker = large.group(0)[0]
    assert ["is not that of its digest" in str(error) for error in large.refused[attacker]] == [True]
    assert large.fate(report, 0) == "void"
    assert not large.has_stake(attacker)
    assert [large.owed()[number] for number in large.group(0)] == [0, REWARD_WEI, REWARD_WEI]
    assert_nobody_else_suffers(large, 0)


@pytest.mark.parametrize("place", [0, 1], ids=["same group", "another group"])
def test_copy_of_a_whole_commitment_and_delivery_is_unpaid_and_never_learnt_from(tmp_path: Path, place: int) -> None:
    """It is what it has committed to, so it is taken; but masks are those of its member, and those of the copy cancel in no sum."""
    game = make_game(tmp_path, num_owners=18, outlier_percent=150)
    victim = game.group(place)[2]
    report = copy(game, victim, "commit", "deliver")
    assert game.refused == {}
    assert game.fate(report, 0) == "ineligible"
    assert report.learnt == report.accepted == (1, 2, 3, 4, 5)
    assert {game.owed()[number] for number in game.group(0)} == {0}
    assert {game.owed()[number] for number in game.others(0)} == {REWARD_WEI}


def copy(game: Game, victim: int, *exchanges: str) -> RoundReport:
    """A round in which the first member of the first group copies a member that has committed before it."""
    attacker = game.turn_one("copies", victim=game.owners[victim].journal, exchanges=exchanges)
    task = game.anchor()
    game.commit(task, set(game.owners) - {attacker})
    game.commit(task, [attacker])
    game.deliver(task, game.keeper.open())
    return game.settle()


def test_nobody_commits_in_anothers_name(large: Game) -> None:
    victim = large.group(1)[0]
    attacker = large.turn_one("impersonates", victim=address_of(victim))
    report = large.play()
    assert [type(error) for error in large.refused[attacker]] == [TaskMismatch]
    assert victim not in large.refused
    assert large.fate(report, 0) == "absent"
    assert large.fate(report, 1) in ("accepted", "dropped")


# Mask keys


def test_mask_key_of_low_order_is_refused_when_joining(game: Game) -> None:
    before = game.scene.state
    with pytest.raises(BadMaskKey):
        game.rogues[game.turn_one("joins-with-key")].join()
    assert game.scene.state == before


def test_anothers_mask_key_keeps_its_thief_from_committing(tmp_path: Path) -> None:
    """A public key without its secret half is of no use: the thief cannot mask, nor can the victim if they share a group."""
    game = make_game(tmp_path, num_owners=18, policy={"most-peer-sets": 2})
    attacker, victim = game.group(0)[0], game.group(1)[0]
    stolen = next(m.mask_key for m in game.scene.market.members() if m.owner == address_of(victim))
    for number, owner in game.owners.items():
        if number != attacker:
            owner.agent().join()
    key = game.scene.market.storage.next_mask_keys[game.scene.market.owner_record(address_of(victim)).seat]
    assert key not in (stolen, make_mask_key(victim, 2))
    game.turn(attacker, "joins-with-key", mask_key=key).join()
    game.scene.freeze_and_draw()
    report = game.play(2)
    assert [type(error) for error in game.refused[attacker]] == [Refused]
    mine = next(place for place in range(6) if attacker in game.group(place))
    assert game.fate(report, mine) == "absent"
    assert (victim in game.refused) == (victim in game.group(mine))
    assert len(report.accepted) == 4
