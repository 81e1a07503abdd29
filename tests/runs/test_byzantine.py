"""The attackers' run: its recipe, its trainings, its figures, its promises."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnilytics_flwr.adversary.colluding import JustAccepted
from omnilytics_flwr.adversary.registry import ATTACKS, Family
from omnilytics_flwr.adversary.updates import SignFlip
from omnilytics_flwr.adversary.vectors import Isotropic
from omnilytics_flwr.errors import TermsError
from runs.byzantine.cells import Cell, Crowd, fedavg_cell, market_cell, usual_terms
from runs.byzantine.compare import cell_figures
from runs.byzantine.figure import draw
from runs.byzantine.protocol import MISDEEDS
from runs.byzantine.recipe import ANY_VERIFICATION, DEFAULT_PATH, Recipe, load_recipe, terms_of
from runs.byzantine.result import broken_promises
from runs.byzantine.shortcut import Decision
from runs.byzantine.trainer import Trainer
from runs.recipes import RecipeError

TEXT = DEFAULT_PATH.read_text(encoding="utf-8")
REFERENCE = DEFAULT_PATH.parent / "reference" / "result.json"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The recipe with less of everything."""
    recipe = load_recipe()
    data = replace(recipe.data, train_samples=1500, test_samples=300, smallest_share=20)
    return replace(recipe, data=data, training=replace(recipe.training, rounds=2, pretrain_epochs=5))


@pytest.fixture(scope="module")
def trainer(recipe: Recipe) -> Trainer:
    return Trainer(recipe)


# Recipe


def test_recipe_runs_every_attack_of_the_kit_that_a_training_can_show() -> None:
    """But for `copied`, which behind masks has nothing to copy, and `wrong-length`, which no average takes."""
    shown = {name for name, attack in ATTACKS.items() if attack.family is not Family.AGENT}
    assert set(load_recipe().attacks.by_name()) == shown - {"copied", "wrong-length"}


def test_misdeeds_are_every_rogue_but_those_that_others_stand_for() -> None:
    rogues = {name for name, attack in ATTACKS.items() if attack.family is Family.AGENT}
    assert {misdeed.name for misdeed in MISDEEDS} == rogues - {"copies", "forges", "late", "projects-another"}


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("workers = 2", "workers = 0", RecipeError, r"workers is 0; expected at least 1"),
        ("two = [0, 3]", "two = [0, 24]", RecipeError, r"crowds\.two is \(0, 24\); expected different places from 0 to 23"),
        ("two = [0, 3]", "two = []", RecipeError, r"crowds\.two is \(\); expected different places"),
        ('[confirm]\ncrowd = "two"', '[confirm]\ncrowd = "ten"', RecipeError, r"confirm\.crowd is 'ten'; expected one of two, three, six"),
        ('crowd = "two"\noutlier', 'crowd = "ten"\noutlier', RecipeError, r"sweep\.crowd is 'ten'; expected one of two, three, six"),
        ("[0, 110, 125, 150, 200]", "[0, 110, 125]", RecipeError, r"sweep\.outlier_percents is \(0, 110, 125\); expected 200 among them"),
        ("owners = 18 ", "owners = 17 ", RecipeError, r"misdeeds\.owners is 17; expected 18 to 24"),
        ("[attacks.zero]", "[attacks.nil]", RecipeError, r"attacks\.nil is no key of the recipe"),
        ("[attacks.zero]", "", RecipeError, r"attacks\.zero is missing"),
        ("factor = 10.0", "factor = 0.0", TermsError, r"factor is 0\.0, expected a number above 0"),
    ],
)
def test_recipe_with_a_fault_is_refused_by_name(tmp_path: Path, old: str, new: str, error: type[Exception], message: str) -> None:
    assert TEXT.count(old) == 1
    path = tmp_path / "recipe.toml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(error, match=message):
        load_recipe(path)


def test_groups_are_one_more_than_a_round_needs(recipe: Recipe) -> None:
    terms = terms_of(recipe, rounds=2)(ANY_VERIFICATION)
    assert recipe.data.owners // terms.group_size == terms.least_groups + 1
    assert terms.weights == 20_522


# Trainings


def test_update_is_the_same_however_often_it_is_asked_for(recipe: Recipe, trainer: Trainer) -> None:
    start = trainer.start()
    first, again, other = trainer.update(start, 1, 3), Trainer(recipe).update(start, 1, 3), trainer.update(start, 1, 4)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, trainer.update(start, 2, 3))
    assert not np.array_equal(first, trainer.update(start, 1, 3, flipped=True))


def test_accuracy_of_a_ruined_model_is_a_guess(trainer: Trainer) -> None:
    start = trainer.start()
    assert trainer.accuracy(start) != 0.1
    assert trainer.accuracy(np.full_like(start, np.nan)) == 0.1


def test_plain_fedavg_is_the_mean_weighted_by_digits(recipe: Recipe, trainer: Trainer) -> None:
    start, once = trainer.start(), replace(recipe, training=replace(recipe.training, rounds=1))
    updates = [trainer.update(start, 1, owner) for owner in range(24)]
    mean = sum(count * update for count, update in zip(trainer.examples, updates, strict=True)) / trainer.examples.sum()
    cell = fedavg_cell(once, trainer, Crowd(), start)
    assert cell is not None
    assert cell.accuracies == [trainer.accuracy(start), trainer.accuracy((start + mean).astype(np.float32))]


def test_attack_hurts_plain_fedavg_and_not_the_market(recipe: Recipe, trainer: Trainer) -> None:
    start, crowd = trainer.start(), Crowd("sign-flip", SignFlip(8.0), (0, 3))
    market, fedavg = market_cell(recipe, trainer, crowd, start), fedavg_cell(recipe, trainer, crowd, start)
    assert fedavg is not None
    assert market.accuracies[-1] > fedavg.accuracies[-1] + 0.2
    assert [decision.dropped for decision in market.decisions] == [(0, 1), (0, 1)]
    forged, once = Crowd("isotropic", Isotropic(0, 1), (4,)), replace(recipe, training=replace(recipe.training, rounds=1))
    assert fedavg_cell(recipe, trainer, forged, start) is None, "an attack on vectors needs a market"
    assert market_cell(once, trainer, forged, start).decisions[0].ineligible == (1,)


def test_attacks_that_remember_are_told_of_the_round_before(recipe: Recipe, trainer: Trainer) -> None:
    known: list[Any] = []

    def spy(knowledge: Any) -> Any:
        known.append(knowledge)
        return knowledge.honest

    start = trainer.start()
    cell = market_cell(recipe, trainer, Crowd("stale", spy, (2,)), start)
    first, second = known
    assert first.earlier is None
    assert first.last_move is None
    assert np.array_equal(second.earlier, first.honest)
    mean = cell.decisions[0].mean
    assert mean is not None
    assert np.allclose(second.last_move, mean, atol=1e-6)
    assert second.seen == (), "masks hide everybody else's update"


# Figures and promises


def decision(**changes: Any) -> Decision:
    paid = frozenset(range(6, 24))
    return replace(Decision(True, (), accepted=(2, 3, 4, 5, 6, 7), learnt=(2, 3, 4, 5, 6, 7), dropped=(0, 1), paid=paid), **changes)


def test_figures_count_groups_and_owners_apart(recipe: Recipe) -> None:
    """One attacker in group 0, one in group 2: of four group rounds one is paid, of the honest owners those of groups 2 to 7."""
    rounds = [decision(), decision(opened=False, accepted=(), learnt=(), dropped=(), paid=frozenset())]
    figures = cell_figures(recipe, Cell([0.1, 0.5, 0.6], rounds), Cell([0.1, 0.2, 0.3]), (0, 6))
    assert (figures["market"], figures["fedavg"]) == (0.6, 0.3)
    assert figures["attackers_groups_paid"] == figures["attackers_groups_learnt"] == 1 / 4
    assert figures["honest_groups_paid"] == 5 / 12
    assert figures["honest_paid"] == pytest.approx(17 / 44)
    assert (figures["rounds_opened"], figures["rounds"]) == (1, 2)
    assert figures["fates"][0]["accepted"] == "2 3 4 5 6 7"


def test_figures_tell_loud_groups_and_where_projections_differ(recipe: Recipe) -> None:
    """Group 0 scores 3 times the median in the first round and is paid in the second; a projection drops group 5 there instead."""
    quiet = tuple((number, 100) for number in range(1, 8))
    loud = decision(dropped=(0,), paid=frozenset(range(3, 24)), scores=((0, 300), *quiet))
    paid = decision(accepted=tuple(range(8)), dropped=(), paid=frozenset(range(24)), scores=((0, 201), *quiet))
    other = replace(paid, accepted=(0, 1, 2, 3, 4, 6, 7), dropped=(5,))
    figures = cell_figures(recipe, Cell([0.1, 0.5, 0.6], [loud, paid], [loud, other]), None, (0, 1))
    assert figures["loud_rounds"] == 2
    assert figures["projection_differs"] == [
        {"round": 2, "loud": True, "groups": "5", "scores": "group 5: exact 100.0 %, projected 100.0 %"}
    ]


def test_rules_of_the_sweep_are_told_to_who_hides_from_them(recipe: Recipe, trainer: Trainer) -> None:
    """The same attacker goes further where the rule leaves it more room, and every group of it is paid under each."""
    once, start = replace(recipe, training=replace(recipe.training, rounds=1)), trainer.start()
    far = []
    for percent in (125, 200):
        terms = replace(usual_terms(once), outlier_percent=percent)
        cell = market_cell(once, trainer, Crowd("just-accepted", JustAccepted(), (0, 3)), start, terms)
        far.append(float(np.linalg.norm(cell.last_offers[0].update)))
        assert {0, 1} <= set(cell.decisions[0].accepted)
    assert far[0] < far[1]


@pytest.fixture
def reference() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return result


def test_reference_run_held_every_promise(reference: dict[str, Any]) -> None:
    assert broken_promises(reference) == []
    assert list(reference["attacks"]) == list(load_recipe().attacks.by_name())
    assert [one["name"] for one in reference["misdeeds"]] == [misdeed.name for misdeed in MISDEEDS]


def differs(crowd: str, groups: str) -> dict[str, Any]:
    return {"attack": "noise", "crowd": crowd, "round": 1, "loud": True, "groups": groups, "scores": ""}


@pytest.mark.parametrize(
    ("spoil", "claim"),
    [
        (
            lambda r: r["no_attacker_by_seed"]["25"].update(least_paid_group=0.8),
            "with nobody attacking, every group is paid in nine rounds of ten",
        ),
        (lambda r: r["no_attacker_by_seed"]["25"].update(market=0.9), "with nobody attacking, a market is within half a point"),
        (lambda r: r["attacks"]["noise"]["two"].update(attackers_groups_paid=0.01), "loud attacks within f are not paid"),
        (lambda r: r["projections"]["differing"].extend(3 * [differs("two", "0")]), "under a loud attack, projections select"),
        (lambda r: r["attacks"]["zero"]["two"].update(projected=0.1), "projections cost no accuracy under any attack"),
        (lambda r: r["confirmed_on_chain"]["zero"].update(same_pay=False), "every attack comes to the same on a chain"),
        (lambda r: r["confirmed_on_chain"].pop("zero"), "as many attacks are confirmed as there are"),
        (lambda r: r["misdeeds"][0]["audit"].update(finding="round 1: ..."), "an audit from the chain alone confirms every market"),
        (lambda r: r["attacks"]["zero"]["two"]["fates"][0].update(dropped="0 1 2"), "never more than f groups of a round go unpaid"),
        (lambda r: r["attacks"]["isotropic"]["two"].update(attackers_groups_learnt=0.1), "no sum out of range is ever learned from"),
        (lambda r: r["misdeeds"][0].update(settled=False), "every misdeed's round is settled"),
        (lambda r: r["misdeeds"][0].update(others_paid=0.7), "no misdeed costs owners of other groups more"),
        (lambda r: next(m for m in r["misdeeds"] if m["fate"] == "void").update(stake_lost_wei=0), "who never delivers loses its stake"),
    ],
)
def test_broken_promise_is_named(reference: dict[str, Any], spoil: Any, claim: str) -> None:
    spoil(reference)
    assert len(broken := broken_promises(reference)) == 1
    assert broken[0].startswith(claim)


def test_picture_is_drawn_from_the_record_alone(tmp_path: Path) -> None:
    draw(REFERENCE, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
