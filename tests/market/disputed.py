"""Markets in memory with an open round whose members can be accused, and answer."""

from __future__ import annotations

from typing import Any

from omnilytics_flwr.market.refusals import NoCredit
from tests.support.builders import WEALTH_WEI, Scene, address_of, make_drawn_scene

FEE_WEI = 77
COST_WEI = 2 * (131_072 * 8 + (80_000 * 2 + 12_000 * 8) * 7)
"""Of eight polynomials, at the fees of a world in memory."""
DEPOSIT_WEI = 2_000_000
ACCUSATION_WEI = FEE_WEI + DEPOSIT_WEI
"""More than an answer of one or two polynomials costs."""


def make_open_scene(num_owners: int = 18, **changes: Any) -> Scene:
    """An open round of all groups but the last, with vectors of eight polynomials: an answer takes two transactions."""
    wide = {"weights": 60_000, "accuse_fee_wei": FEE_WEI, "answer_seconds": 600, "prove_seconds": 300}
    scene = make_drawn_scene(num_owners, **(wide | changes))
    scene.open(scene.all_groups() >> 1)
    return scene


def seat_on(scene: Scene, place: int = 0) -> int:
    """A seat of the open roster."""
    return scene.seats_of(scene.state.groups)[place]


def make_small_scene(**changes: int) -> Scene:
    """Five open groups of three, vectors of one polynomial."""
    return make_open_scene(**({"weights": 100} | changes))


def number_on(scene: Scene, seat: int) -> int:
    """Number of the data owner on a seat."""
    return scene.number_of(scene.market.storage.seat_owners[seat])


def gain_wei(scene: Scene, number: int) -> int:
    """What an account has more than in the beginning, after taking out all that is credited to it."""
    try:
        scene.ledger().withdraw(address_of(number))
    except NoCredit:
        pass
    return scene.world.balances[address_of(number)] - WEALTH_WEI


def group_of(scene: Scene, seat: int) -> int:
    """Group that a seat is in."""
    return next(group for group in range(6) if scene.market.group_seats(group) >> seat & 1)
