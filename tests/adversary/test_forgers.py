"""Attacked updates and vectors, against real agents, keeper, proofs and market: who is paid, and who loses what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.adversary.colluding import LittleIsEnough
from omnilytics_flwr.adversary.knowledge import UpdateAttack
from omnilytics_flwr.adversary.registry import Family
from omnilytics_flwr.adversary.updates import Constant, Noise, NotANumber, Scaled, SignFlip, Truncated
from omnilytics_flwr.errors import TermsError, UpdateError
from tests.model_owner.conftest import honest_update
from tests.support.builders import address_of

from .conftest import REWARD_WEI, STAKE_WEI, Game, attack_update, make_game

VECTORS = ("out-of-range", "half-out-of-range", "isotropic", "unmasked")
EXACT: dict[str, Any] = {}
PROJECTED: dict[str, Any] = {"projected": True}
COMPUTED: dict[str, Any] = {"computed": True, "policy": {"public-sums": True}, "missing": "waive"}


@pytest.fixture
def game(tmp_path: Path) -> Game:
    return make_game(tmp_path)


@pytest.mark.parametrize(
    ("market", "name"),
    [
        *((EXACT, name) for name in VECTORS),
        *(pytest.param(PROJECTED, name, marks=() if name == "isotropic" else pytest.mark.slow) for name in VECTORS),
        *((COMPUTED, name) for name in ("isotropic", "unmasked")),  # what is out of range among two weights may be one of many's
    ],
    ids=[*(f"{market}-{name}" for market in ("exact", "projected") for name in VECTORS), "computed-isotropic", "computed-unmasked"],
)
def test_group_with_a_forged_vector_is_unpaid_and_never_learnt_from(tmp_path: Path, market: dict[str, Any], name: str) -> None:
    """One bad member spoils its group: its honest members are not paid either, and nobody's stake is touched."""
    game = make_game(tmp_path, **market)
    attacker = game.group()[1]
    game.turn(attacker, name)
    report = game.play()
    assert game.refused == {}
    assert game.fate(report, 0) in ("ineligible", "dropped")
    assert report.learnt == report.accepted
    assert all(game.owed()[number] == 0 for number in game.group())
    assert {game.owed()[number] for number in game.others(0)} == {REWARD_WEI}
    assert game.scene.state.stakes_wei == 15 * STAKE_WEI


def test_second_forged_group_is_beyond_f_and_is_paid(game: Game) -> None:
    """A limit of every market: who is beyond f is waived, and with four groups left none may go unpaid; nothing is learnt from them."""
    for place, name in enumerate(("isotropic", "out-of-range")):
        game.turn_one(name, place)
    report = game.play()
    assert report.learnt == (2, 3, 4)
    assert set(game.owed().values()) == {REWARD_WEI}


def test_forger_answers_the_same_again_and_in_a_new_process(game: Game) -> None:
    attacker = game.group()[0]
    first, second = (game.turn(attacker, "out-of-range") for _ in range(2))
    task = game.anchor()
    commitment = first.commit(task, honest_update(attacker))
    assert second.admit(task).commitment is None
    assert second.commit(task, honest_update(attacker)) == commitment
    game.commit(task)
    digests = game.keeper.open()
    request = (task.chain_id, game.scene.market.address, task.epoch, task.round, digests)
    assert second.deliver(*request) == first.deliver(*request)


@pytest.mark.parametrize("name", [Family.UPDATE.value, "zero", "label-flip"])
def test_attack_that_is_no_rogue_is_refused(game: Game, name: str) -> None:
    with pytest.raises(TermsError, match="is no attack that can be used here"):
        game.turn(0, name)


# Updates


@pytest.mark.parametrize("made", [SignFlip(), Scaled(), Noise(), Constant(0.4)])
def test_group_of_a_loud_attack_is_dropped_and_unpaid(game: Game, made: UpdateAttack) -> None:
    attack_update(game, game.group()[0], made)
    report = game.play()
    assert game.fate(report, 0) == "dropped"
    assert all(game.owed()[number] == 0 for number in game.group())
    assert {game.owed()[number] for number in game.others(0)} == {REWARD_WEI}


def test_attack_near_the_majority_is_accepted_and_paid(game: Game) -> None:
    """What no distance tells from an honest update is paid like one."""
    attacker = game.group()[0]
    attack_update(game, attacker, LittleIsEnough(0.3))
    report = game.play()
    assert game.fate(report, 0) == "accepted"
    assert game.owed()[attacker] == REWARD_WEI


@pytest.mark.parametrize("made", [NotANumber(), Truncated()])
def test_update_that_no_agent_quantises_costs_its_group_the_round(tmp_path: Path, made: UpdateAttack) -> None:
    game = make_game(tmp_path, num_owners=18)
    attacker = game.group()[0]
    attack_update(game, attacker, made)
    report = game.play()
    assert [type(error) for error in game.refused[attacker]] == [UpdateError]
    assert game.fate(report, 0) == "absent"
    assert address_of(attacker) not in report.committed
    assert len(report.accepted) == 4
