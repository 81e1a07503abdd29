"""Answers with real blobs, in memory and on a chain side by side: more than six of them, none, and points that no blob has."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.crypto.curve import split_points
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.market.dispute import blob_hash_of
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.roster import bitmap_of, roster_seats
from tests.support.bad_inputs import INFINITY, NOT_ON_CURVE, WRONG_SUBGROUP
from tests.support.builders import MODEL_OWNER, STRANGER, blob_of, make_blob, make_points
from tests.support.moves import Move, Mover

from .twin import Twin

OWNERS = 15
FEE_WEI = 77


class Play:
    """An open round of five groups of three, played on both sides; the owner of seat 0 may commit to `odd_points`."""

    def __init__(self, anvil: Anvil, deployment: Deployment, *, polynomials: int = 1, odd_points: bytes | None = None) -> None:
        wide: dict[str, Any] = {"weights": 8192 * polynomials, "prove_seconds": 300, "accuse_fee_wei": FEE_WEI}
        self.twin = Twin(anvil, deployment, OWNERS, **wide)
        self.mover = OddMover(self.twin, odd_points)
        self.twin.open_a_round(self.mover)
        self.seats = self.twin.scene.seats_of(0b11111)

    @property
    def state(self) -> MarketState:
        return self.twin.scene.state

    def play(self, move: Move) -> None:
        """Play a call that both take."""
        assert self.refusal(move) is None, move

    def refusal(self, move: Move) -> tuple[str, tuple[object, ...]] | None:
        """What both refuse a call with."""
        outcome = self.twin.play(move)
        self.twin.assert_equal_and_solvent()
        return outcome.refusal

    def accuse(self, *seats: int, more_wei: int = 0) -> Move:
        roster, owners = self.mover.roster(self.state), self.mover.owners()
        digests = self.mover.digests(self.state, roster)
        signed = [self.mover.sign(self.state, owners[s], d) for s, d in zip(roster_seats(roster), digests, strict=True) if s in seats]
        each_wei = FEE_WEI + self.twin.scene.ledger().answer_cost_wei()
        return Move(MODEL_OWNER, "accuse", (1, bitmap_of(seats), digests, b"".join(signed)), len(seats) * each_wei + more_wei)

    def answer(self, seat: int, first: int, blobs: tuple[bytes, ...], *, count: int | None = None) -> Move:
        """An answer that shows `count` points, as many as there are blobs if no number is given; more than there are are infinity."""
        count = len(blobs) if count is None else count
        there = max(0, min(count, self.twin.scene.terms.polynomials - first))
        move = self.mover.answer_with(self.state, seat, first, there)
        _, _, _, points, *others = move.arguments
        assert isinstance(points, bytes)
        arguments = (1, seat, first, points + INFINITY * (count - there), *others)
        return replace(move, account=STRANGER, arguments=arguments, blobs=blobs)

    def settle_after_lapse(self) -> Move:
        wait_seconds = self.until(self.state.answer_by + 1)
        void = self.mover.void(self.state, self.state.answer_by + 1)
        return replace(self.mover.settle_with(self.state, void, 0, bytes(32)), wait_seconds=wait_seconds)

    def until(self, time: int) -> int:
        """Seconds to wait so that the next block is of this time."""
        return time - self.twin.scene.world.timestamp


class OddMover(Mover):
    """The owner of seat 0 commits to any points."""

    def __init__(self, twin: Twin, odd_points: bytes | None) -> None:
        super().__init__(Random(1), twin.view, OWNERS, may_lapse=False)
        self._odd_points = odd_points

    def points(self, state: MarketState, seat: int) -> bytes:
        return self._odd_points if self._odd_points and seat == 0 else super().points(state, seat)


def test_answer_of_eight_polynomials_takes_two_transactions(free_anvil: Anvil, deployment: Deployment) -> None:
    play = Play(free_anvil, deployment, polynomials=8)
    seat, other = play.seats[2], play.seats[9]
    play.play(play.accuse(seat, other, more_wei=5))
    blobs = tuple(make_blob(seat, 1, place) for place in range(8))

    # A blob too many in the transaction is no answer to anything, and does no harm.
    assert play.refusal(play.answer(seat, 0, blobs[:6], count=7)) == ("WrongBlob", (6, bytes(32), wanted(play, seat, 6)))
    play.play(play.answer(seat, 0, blobs[:6], count=5))
    assert play.twin.scene.ledger().accusation(seat).answered_polynomials == 5
    assert play.state.answered == 0
    assert play.refusal(play.answer(seat, 5, blobs[5:], count=4)) == ("MarketWrongLength", (4, 3))
    # What is answered already is skipped.
    play.play(play.answer(seat, 3, blobs[3:]))

    assert play.state.answered == 1 << seat
    assert play.refusal(play.answer(seat, 8, blobs[:1])) == ("NotAccused", (seat,))
    play.play(play.settle_after_lapse())
    assert play.state.slashed == 1 << other


def wanted(play: Play, seat: int, polynomial: int) -> bytes:
    """Versioned hash of a polynomial of a seat."""
    return blob_hash_of(split_points(play.mover.points(play.state, seat))[polynomial])


@pytest.mark.parametrize("name", NOT_ON_CURVE)
def test_answer_with_a_point_off_the_curve(free_anvil: Anvil, deployment: Deployment, name: str) -> None:
    points = make_points(0, 1) + NOT_ON_CURVE[name]
    play = Play(free_anvil, deployment, polynomials=2, odd_points=points)
    play.play(play.accuse(0))

    assert play.refusal(play.answer(0, 0, (make_blob(0, 1), blob_of(1)))) == ("MarketBadPoint", (1,))
    play.play(play.answer(0, 0, (make_blob(0, 1),)))
    assert play.refusal(play.answer(0, 1, (blob_of(1),))) == ("MarketBadPoint", (0,))
    play.play(play.settle_after_lapse())
    assert play.state.slashed == 1


def test_answer_with_a_point_outside_the_subgroup_has_no_blob(free_anvil: Anvil, deployment: Deployment) -> None:
    play = Play(free_anvil, deployment, odd_points=WRONG_SUBGROUP)
    play.play(play.accuse(0))

    refusal = play.refusal(play.answer(0, 0, (blob_of(0),)))

    assert refusal is not None
    assert refusal[0] == "WrongBlob"


def test_answer_without_any_blob(free_anvil: Anvil, deployment: Deployment) -> None:
    play = Play(free_anvil, deployment)
    seat = play.seats[0]
    play.play(play.accuse(seat))

    assert play.refusal(play.answer(seat, 0, (), count=1)) == ("WrongBlob", (0, bytes(32), wanted(play, seat, 0)))
    assert play.refusal(play.answer(seat, 0, ())) == ("WrongStart", (0, 0))
