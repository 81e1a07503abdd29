"""The shortcut of the attackers' run decides what agents, keeper, proofs and market decide, distance by distance and wei by wei."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr.adversary.updates import NotANumber, SignFlip
from omnilytics_flwr.adversary.vectors import HalfOutOfRange, Isotropic, OutOfRange, VectorAttack
from omnilytics_flwr.crypto.fixedpoint import quantise
from omnilytics_flwr.market.terms import Terms
from omnilytics_flwr.model_owner.round_report import RoundReport
from runs.byzantine.shortcut import Decision, Offer, decide, groups_of
from tests.adversary.conftest import Game, attack_update, make_game
from tests.data_owner.owners import live_task
from tests.model_owner.conftest import honest_update
from tests.support.builders import address_of, make_terms


def terms_with(**changes: object) -> Terms:
    return make_terms(**({"weights": 10, "update_bits": 16, "norm_bound": 2**60} | changes))


def keys(count: int) -> list[bytes]:
    return [bytes([place]) * 32 for place in range(count)]


def offers_of(seed: int, owners: int, spread: float = 0.02, weights: int = 10) -> list[Offer]:
    rng = np.random.default_rng(seed)
    common = rng.normal(0.0, 0.2, weights)
    return [Offer(common + rng.normal(0.0, spread, weights)) for _ in range(owners)]


# Against the real thing


def play(game: Game, offers: dict[int, VectorAttack | None]) -> tuple[RoundReport, Decision]:
    """A round as it is, and as it is reckoned; `offers` names who forges how."""
    for number, forge in offers.items():
        if forge is not None:
            game.turn(number, "forges", attack=forge)
    task = game.anchor()
    assert task == live_task(game.scene)
    game.commit(task)
    game.deliver(task, game.keeper.open())
    seed = game.keeper.live.projection_seed(game.scene.state.epoch_seed)
    report = game.settle()
    order = [number for place in range(len(game.scene.market.storage.groups)) for number in game.group(place)]
    brought = [Offer(game.updates.get(number, honest_update(number)), offers.get(number)) for number in order]
    rounding = [game.owners[number].keys.rounding_key(task) for number in order]
    return report, decide(game.scene.terms, brought, rounding, seed)


def assert_same(game: Game, report: RoundReport, reckoned: Decision) -> None:
    order = [number for place in range(len(game.scene.market.storage.groups)) for number in game.group(place)]
    present = [place for place in range(len(game.scene.market.storage.groups)) if place not in reckoned.absent]
    assert [game.group(place)[0] for place in present] == [game.scene.number_of(members[0]) for members in report.roster]
    for fate in ("accepted", "learnt", "ineligible", "dropped", "waived"):
        assert getattr(reckoned, fate) == tuple(present[position] for position in getattr(report, fate)), fate
    assert reckoned.distances == report.distances
    assert {order[place] for place in reckoned.paid} == {number for number, amount in game.owed().items() if amount}
    assert {address_of(order[place]) for place in reckoned.paid} == set(report.paid)


def test_shortcut_is_the_round_with_groups_of_two_sizes_and_a_loud_attack(tmp_path: Path) -> None:
    game = make_game(tmp_path, num_owners=16)
    attack_update(game, game.group(1)[0], SignFlip())
    report, reckoned = play(game, {})
    assert reckoned.dropped == (1,)
    assert report.scale == 12
    assert_same(game, report, reckoned)
    proven = np.mean([honest_update(n) for place in (0, 2, 3, 4) for n in game.group(place)], axis=0)
    assert reckoned.mean is not None
    np.testing.assert_allclose(reckoned.mean, proven, atol=2**-14)


def test_shortcut_is_the_round_of_a_projected_market(tmp_path: Path) -> None:
    game = make_game(tmp_path, projected=True)
    report, reckoned = play(game, {game.group(1)[0]: HalfOutOfRange()})
    assert reckoned.ineligible == (1,), "in a projection it is far off; in an exact market it reads as distance 0"
    assert_same(game, report, reckoned)


def test_shortcut_is_the_round_with_forged_absent_and_waived_groups(tmp_path: Path) -> None:
    game = make_game(tmp_path, num_owners=18)
    attack_update(game, game.group(3)[2], NotANumber())
    forged: dict[int, VectorAttack | None] = {game.group(1)[1]: Isotropic(0, 1), game.group(4)[0]: OutOfRange()}
    report, reckoned = play(game, forged)
    assert (reckoned.absent, reckoned.ineligible, reckoned.waived) == ((3,), (), (1, 4))
    assert_same(game, report, reckoned)


def test_shortcut_is_the_round_with_groups_beyond_the_norm_bound(tmp_path: Path) -> None:
    game = make_game(tmp_path, norm_bound=(2**15) ** 2 * 20)
    for place in (0, 3):
        game.updates |= {number: np.ones(42) for number in game.group(place)}
    report, reckoned = play(game, {})
    assert (reckoned.ineligible, reckoned.waived) == ((), (0, 3))
    assert_same(game, report, reckoned)


# Against plain arithmetic


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), owners=st.integers(15, 19))
def test_distances_are_those_of_scaled_sums(seed: int, owners: int) -> None:
    terms, offers = terms_with(), offers_of(seed, owners)
    groups = groups_of(owners, 3)
    scale = int(np.lcm.reduce([len(group) for group in groups]))
    units = [
        quantise(offer.update, weights=10, bits=16, clip=1.0, key=key).astype(object)
        for offer, key in zip(offers, keys(owners), strict=True)
    ]
    sums: list[Any] = [np.zeros(8192, dtype=object)] + [scale // len(group) * sum(units[place] for place in group) for group in groups]
    expected = [int(((sums[i] - sums[k]) ** 2).sum()) for i in range(len(sums)) for k in range(i + 1, len(sums))]
    decision = decide(terms, offers, keys(owners))
    assert list(decision.distances) == expected
    assert len(decision.accepted) == len(groups) - 1
    assert decision.paid == {place for number in decision.accepted for place in groups[number]}


@given(st.integers(3, 60), st.integers(3, 6))
def test_groups_hold_everybody_once_and_the_larger_come_first(owners: int, group_size: int) -> None:
    if owners % group_size > owners // group_size or owners < group_size:
        return
    groups = groups_of(owners, group_size)
    assert [place for group in groups for place in group] == list(range(owners))
    sizes = [len(group) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    assert set(sizes) <= {group_size, group_size + 1}


def test_no_whole_group_opens_nothing_and_pays_nobody() -> None:
    decision = decide(terms_with(), [Offer(np.full(10, np.nan))] * 15, keys(15))
    assert (decision.opened, decision.absent, decision.paid, decision.mean) == (False, tuple(range(5)), frozenset(), None)


def test_every_group_forged_is_waived_and_teaches_nothing() -> None:
    offers = [replace(offer, forge=OutOfRange()) if place % 3 == 0 else offer for place, offer in enumerate(offers_of(1, 15))]
    decision = decide(terms_with(), offers, keys(15))
    assert (decision.waived, decision.accepted, decision.mean) == (tuple(range(5)), (), None)
    assert len(decision.paid) == 15


def test_fates_leave_figures_out() -> None:
    decision = decide(terms_with(), offers_of(1, 15), keys(15))
    assert replace(decision, distances=(), mean=None).fates() == decision.fates()
    assert replace(decision, paid=frozenset({1})).fates() != decision.fates()
