"""The market in memory: answer, and vectors taken from blobs."""

from __future__ import annotations

import pytest

from omnilytics_flwr.crypto.commitment import commit
from omnilytics_flwr.crypto.field import FieldVector, N
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.errors import BlobsMissing, ChainError, NotCanonical, WrongLength
from omnilytics_flwr.market.dispute import versioned_hash
from omnilytics_flwr.market.refusals import (
    MarketBadPoint,
    MarketWrongLength,
    NotAccused,
    TooLate,
    WrongBlob,
    WrongPoints,
    WrongRound,
    WrongStart,
)
from tests.support.bad_inputs import NOT_ON_CURVE, WORD_MAX, WRONG_SUBGROUP
from tests.support.builders import MARKET, STRANGER, WEALTH_WEI, Scene, address_of, make_drawn_scene, sign_hash
from tests.support.sparse import blob_of, make_blob, make_blobs, make_digest, make_points

from .disputed import COST_WEI, FEE_WEI, make_open_scene, seat_on


def test_answer_in_two_transactions_frees_deposit_and_fee() -> None:
    scene = make_open_scene()
    seat, sender = seat_on(scene), STRANGER
    owner = scene.number_of(scene.market.storage.seat_owners[seat])
    scene.accuse(seat, deposit_wei=COST_WEI + 3)
    deposit = COST_WEI + 3

    scene.answer(seat, count=6, sender=sender)
    assert scene.ledger().accusation(seat).answered_polynomials == 6
    assert scene.state.answered == 0
    scene.answer(seat, first=6)

    assert scene.state.answered == 1 << seat
    assert scene.state.disputes_wei == FEE_WEI + deposit
    for number in (sender, owner):
        scene.ledger().withdraw(address_of(number))
    assert scene.world.balances[address_of(sender)] == WEALTH_WEI + deposit * 6 // 8
    assert scene.world.balances[address_of(owner)] == WEALTH_WEI - 5_000 + FEE_WEI + deposit - deposit * 6 // 8
    assert (scene.state.disputes_wei, scene.surplus_wei()) == (0, 0)


def test_answer_tells_what_it_answers() -> None:
    scene = make_open_scene()
    seat = seat_on(scene)
    scene.accuse(seat)

    receipt = scene.ledger(STRANGER).answer(1, seat, make_points(seat, 1, 8), 0, make_blobs(seat, 1, 0, 5))

    assert receipt.logs == {"Answered": {"epoch": 1, "round": 1, "seat": seat, "first": 0, "count": 5}}


@pytest.mark.parametrize("late", [False, True])
def test_answer_until_the_deadline(late: bool) -> None:
    scene = make_open_scene()
    seat = seat_on(scene)
    scene.accuse(seat)
    scene.world.timestamp = scene.state.answer_by + late

    if not late:
        return scene.answer(seat, count=6)
    with pytest.raises(TooLate) as caught:
        scene.answer(seat, count=6)
    assert caught.value.args == (scene.state.answer_by + 1, scene.state.answer_by)


def test_answer_for_who_is_not_accused_or_has_answered_raises() -> None:
    scene = make_open_scene()
    seat = seat_on(scene)
    for not_accused in (seat, 255):
        with pytest.raises(NotAccused) as caught:
            scene.ledger().answer(1, not_accused, b"", 0, ())
        assert caught.value.args == (not_accused,)
    scene.accuse(seat)
    scene.answer(seat, count=6)
    scene.answer(seat, first=6)

    with pytest.raises(NotAccused):
        scene.answer(seat, first=6)
    with pytest.raises(WrongRound):
        scene.ledger().answer(2, seat, make_points(seat, 1, 8), 0, make_blobs(seat, 1, 0, 1))


def test_answer_with_other_points_raises() -> None:
    scene = make_open_scene()
    seat = seat_on(scene)
    scene.accuse(seat)
    points, blobs = make_points(seat, 1, 8), make_blobs(seat, 1, 0, 1)

    for wrong in (b"", points[:-1], points + bytes(1)):
        with pytest.raises(MarketWrongLength) as length:
            scene.ledger().answer(1, seat, wrong, 0, blobs)
        assert length.value.args == (len(wrong), 1024)
    for wrong in (make_points(seat, 2, 8), points[128:] + points[:128]):
        with pytest.raises(WrongPoints) as caught:
            scene.ledger().answer(1, seat, wrong, 0, blobs)
        assert caught.value.args == (keccak256(wrong), make_digest(seat, 1, 8))


def test_answer_out_of_order_or_twice_raises() -> None:
    scene = make_open_scene()
    seat = seat_on(scene)
    scene.accuse(seat)
    with pytest.raises(WrongStart):
        scene.answer(seat, first=1, count=1)
    scene.answer(seat, count=2)

    for first in (0, 1, 3, 2**16 - 1):
        with pytest.raises(WrongStart) as caught:
            scene.answer(seat, first=first, count=1)
        assert caught.value.args == (first, 2)


def test_answer_with_no_polynomial_or_more_than_are_left_raises() -> None:
    scene = make_open_scene()
    seat = seat_on(scene)
    scene.accuse(seat)
    scene.answer(seat, count=6)
    blobs = make_blobs(seat, 1, 6, 2)

    for blobs_sent in ((), (*blobs, blobs[0])):
        with pytest.raises(MarketWrongLength) as caught:
            scene.ledger().answer(1, seat, make_points(seat, 1, 8), 6, blobs_sent)
        assert caught.value.args == (len(blobs_sent), 2)


def test_answer_with_another_blob_or_none_raises() -> None:
    scene = make_open_scene()
    seat = seat_on(scene)
    scene.accuse(seat)
    points = make_points(seat, 1, 8)
    good, other = make_blobs(seat, 1, 0, 2), blob_of(5)
    expected = versioned_hash(points[128:256])

    with pytest.raises(WrongBlob) as swapped:
        scene.ledger().answer(1, seat, points, 0, (good[0], other))
    assert swapped.value.args == (1, versioned_hash(commit(FieldVector.from_bytes(other, N))), expected)
    with pytest.raises(WrongBlob) as missing:
        scene.world.send(address_of(STRANGER), MARKET, "answer", (1, seat, points, 0, 2), 0, good[:1])
    assert missing.value.args == (1, bytes(32), expected)


@pytest.mark.parametrize("point", [*NOT_ON_CURVE.values()], ids=list(NOT_ON_CURVE))
def test_answer_with_a_point_off_the_curve_raises(point: bytes) -> None:
    scene, seat = scene_with_points(make_points(0, 1, 1) + point)
    blobs = (make_blob(0, 1, 0), blob_of(1))

    with pytest.raises(MarketBadPoint) as caught:
        scene.ledger().answer(1, seat, make_points(0, 1, 1) + point, 0, blobs)

    assert caught.value.args == (1,)


def test_answer_with_a_point_outside_the_subgroup_is_nobodys_blob() -> None:
    scene, seat = scene_with_points(WRONG_SUBGROUP * 2)

    with pytest.raises(WrongBlob):
        scene.ledger().answer(1, seat, WRONG_SUBGROUP * 2, 0, (blob_of(0),))


def scene_with_points(points: bytes) -> tuple[Scene, int]:
    """An open round in which somebody is accused that committed to these points of two polynomials; its seat."""
    scene = make_drawn_scene(weights=10_000, prove_seconds=200)
    scene.anchor()
    seat = scene.seats_of(0b11111)[0]
    digests, signatures = map(list, scene.commitments(0b11111))
    digests[0] = keccak256(points)
    owner = scene.number_of(scene.market.storage.seat_owners[seat])
    signatures[0] = sign_hash(owner, scene.market.commitment_hash(digests[0]))
    scene.ledger().open(1, 0b11111, tuple(digests), tuple(signatures))
    scene.ledger().accuse(1, 1 << seat, tuple(digests))
    return scene, seat


# ------------------------------------------------------------------------------------------------------------- blobs and vectors


def test_answered_vector_is_what_was_committed() -> None:
    scene = make_open_scene()
    seat = seat_on(scene, 7)
    scene.accuse(seat)
    scene.answer(seat, count=4)
    with pytest.raises(BlobsMissing) as caught:
        scene.ledger().answered_vector(1, seat)
    assert caught.value.args == (1, seat, 4 * 131_072, 8 * 131_072)
    scene.answer(seat, first=4)

    vector = scene.ledger().answered_vector(1, seat)

    assert commit(FieldVector.from_bytes(vector, 8 * N)) == make_points(seat, 1, 8)


def test_answered_vector_of_nobody_raises_a_chain_error() -> None:
    scene = make_open_scene()
    scene.accuse(seat_on(scene), seat_on(scene, 1))
    scene.answer(seat_on(scene), count=6)
    scene.answer(seat_on(scene), first=6)

    for round_number, seat in ((1, seat_on(scene, 1)), (2, seat_on(scene)), (1, 255)):
        with pytest.raises(ChainError):
            scene.ledger().answered_vector(round_number, seat)


def test_answer_that_is_refused_leaves_no_vector() -> None:
    scene = make_open_scene(weights=100)
    seat = seat_on(scene)
    scene.accuse(seat)

    with pytest.raises(WrongStart):
        scene.ledger().answer(1, seat, make_points(seat, 1), 1, make_blobs(seat, 1, 0, 1))

    with pytest.raises(BlobsMissing):
        scene.ledger().answered_vector(1, seat)


@pytest.mark.parametrize(
    ("blobs", "error"),
    [
        ((bytes(131_071),), WrongLength),
        ((bytes(131_073),), WrongLength),
        ((b"",), WrongLength),
        ((bytes(131_072),) * 7, WrongLength),
        ((bytes(131_040) + WORD_MAX,), NotCanonical),
    ],
)
def test_blobs_that_no_chain_takes_raise(blobs: tuple[bytes, ...], error: type[Exception]) -> None:
    scene = make_open_scene()
    seat = seat_on(scene)
    scene.accuse(seat)
    state = scene.state

    with pytest.raises(error):
        scene.ledger().answer(1, seat, make_points(seat, 1, 8), 0, blobs)

    assert scene.state == state
