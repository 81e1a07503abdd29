"""A round of the attackers' run on a real chain: the comparison holds where it should, and notices where it should not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from omnilytics_flwr import LocalMarket
from omnilytics_flwr.adversary.vectors import Isotropic
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from runs.byzantine.confirm import confirm, seats_of
from runs.byzantine.recipe import ANY_VERIFICATION, Recipe, load_recipe, terms_of
from runs.byzantine.shortcut import Offer, decide

WEIGHTS = 50


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    recipe = load_recipe()
    return replace(recipe, data=replace(recipe.data, owners=18), market=replace(recipe.market, faulty_groups=1))


@pytest.fixture(scope="module")
def market(recipe: Recipe) -> Iterator[LocalMarket]:
    with LocalMarket(terms_of(recipe, rounds=4, weights=WEIGHTS), num_owners=18) as market:
        yield market


def offers() -> list[Offer]:
    rng = np.random.default_rng(7)
    common = rng.normal(0.0, 0.05, WEIGHTS)
    return [Offer(common + rng.normal(0.0, 0.002, WEIGHTS)) for _ in range(18)]


def test_round_with_an_attacker_and_an_absentee_comes_to_the_same(recipe: Recipe, market: LocalMarket) -> None:
    brought = offers()
    # Not in the last two elements: they hold padding, in which two groups' sums may agree by the draw of the rounding.
    brought[4] = replace(brought[4], forge=Isotropic(0, 1))
    brought[9] = Offer(np.full(WEIGHTS, np.nan))
    trained = decide(terms_of(recipe, rounds=4, weights=WEIGHTS)(ANY_VERIFICATION), brought, [bytes(32)] * 18)
    assert (trained.ineligible, trained.absent, len(trained.accepted)) == ((1,), (3,), 4)
    confirmation = confirm(market, RoundKeeper(market.ledger), "isotropic", brought, trained)
    assert confirmation.holds
    assert confirmation.gas > 100_000


def test_training_that_saw_something_else_is_noticed(recipe: Recipe, market: LocalMarket) -> None:
    brought = offers()
    brought[0] = Offer(-brought[0].update)
    trained = decide(terms_of(recipe, rounds=4, weights=WEIGHTS)(ANY_VERIFICATION), offers(), [bytes(32)] * 18)
    confirmation = confirm(market, RoundKeeper(market.ledger), "sign-flip", brought, trained)
    assert (confirmation.same_distances, confirmation.same_groups, confirmation.same_pay) == (True, True, True)
    assert not confirmation.same_as_trained
    assert not confirmation.holds


def test_places_are_the_drawn_order(market: LocalMarket) -> None:
    seats = seats_of(market)
    assert {seat.index for seat in seats} == set(range(18))
    assert [market.owners[seat.index] for seat in seats] == [seat.owner for seat in seats]
    numbers = [market.ledger.owner_record(seat.owner).seat for seat in seats]
    groups = [sum(1 << number for number in numbers[start : start + 3]) for start in range(0, 18, 3)]
    assert groups == [market.ledger.group_seats(number) for number in range(6)]
