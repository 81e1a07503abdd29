"""What a round's disputes are made of: accuse, answer, and what becomes of accusations at its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from omnilytics_flwr.crypto.curve import POINT_BYTES, decode_on_curve, split_points
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.market.dispute import BURN_ADDRESS, accuse_by, answer_cost_wei, freed_wei, lapsed, split_deposits, versioned_hash
from omnilytics_flwr.market.refusals import (
    AlreadyAccused,
    MarketBadPoint,
    MarketWrongLength,
    NoSeats,
    NotAccused,
    TooLate,
    Underpaid,
    UnknownSeats,
    WrongBlob,
    WrongDigests,
    WrongPoints,
    WrongStart,
)
from omnilytics_flwr.market.roster import bits_of, roster_seats
from omnilytics_flwr.market.stage import Event

from .market import Call, MemoryMarket
from .money import check_room
from .payout import Payout
from .storage import NO_HASH, Charge

if TYPE_CHECKING:
    from .world import World


def accuse(market: MemoryMarket, call: Call, round_number: int, seats: int, digests: tuple[bytes, ...]) -> None:
    """Accuse members of the open roster of not having delivered; the ether sent pays for their answers.

    Checks: stage; the sender is the model owner; the round is the live one; it is not too late; somebody is accused; the digests are
    the roster's; the accused are on it; none was accused before; the ether covers a fee and an answer for each.
    """
    market.check_stage(Event.ACCUSE)
    market.check_model_owner(call)
    market.check_round(round_number)
    held, terms = market.storage, market.terms
    deadline = accuse_by(held.settle_by, terms)
    if call.timestamp > deadline:
        raise TooLate(call.timestamp, deadline)
    _check_accused(market, seats, digests)
    least_wei = seats.bit_count() * (terms.accuse_fee_wei + cost_wei(market, call.world))
    if call.value_wei < least_wei:
        raise Underpaid(call.value_wei, least_wei)

    deposit_wei, rest_wei = split_deposits(call.value_wei, accused=seats.bit_count(), fee_wei=terms.accuse_fee_wei)
    for seat, digest in zip(roster_seats(held.roster_seats()), digests, strict=True):
        if seats >> seat & 1:
            held.charges[seat] = Charge(digest, deposit_wei, deposit_wei)
    held.answer_by = call.timestamp + terms.answer_seconds
    held.refund(market.model_owner, rest_wei)
    call.log("Accused", epoch=held.where.epoch, round=round_number, seats=seats, answerBy=held.answer_by)


def answer(market: MemoryMarket, call: Call, round_number: int, seat: int, points: bytes, first: int, count: int) -> None:
    """Answer for an accused, whoever sends: the call's first `count` blobs are its polynomials from `first` on.

    Checks: stage; the round is the live one; the seat is accused and has not answered; it is not too late; as many points as
    polynomials; they are those of the digest; the answer goes on where the last one ended; it has a blob and no more than are left;
    blob by blob, the point is on the curve and the blob is its polynomial.
    """
    market.check_stage(Event.ANSWER)
    market.check_round(round_number)
    held, terms = market.storage, market.terms
    charge = held.charges.get(seat)
    if charge is None or charge.answered_polynomials == terms.polynomials:
        raise NotAccused(seat)
    if call.timestamp > held.answer_by:
        raise TooLate(call.timestamp, held.answer_by)
    _check_points(charge, points, terms.polynomials)
    if first != charge.answered_polynomials:
        raise WrongStart(first, charge.answered_polynomials)
    if not 1 <= count <= terms.polynomials - first:
        raise MarketWrongLength(count, terms.polynomials - first)
    _check_blobs(call, split_points(points)[first : first + count])

    amount_wei = freed_wei(charge.deposit_wei, charge.left_wei, first=first, count=count, polynomials=terms.polynomials)
    held.charges[seat] = replace(charge, left_wei=charge.left_wei - amount_wei, answered_polynomials=first + count)
    held.refund(call.sender, amount_wei)
    if first + count == terms.polynomials:
        held.refund(held.seat_owners[seat], terms.accuse_fee_wei)
    call.log("Answered", epoch=held.where.epoch, round=round_number, seat=seat, first=first, count=count)


def cost_wei(market: MemoryMarket, world: World) -> int:
    """Least deposit for one accused at the world's fees."""
    return answer_cost_wei(market.terms.polynomials, base_fee_wei=world.base_fee_wei, blob_base_fee_wei=world.blob_base_fee_wei)


def lapsed_now(market: MemoryMarket, call: Call) -> int:
    """Bitmap of the seats whose accusation has lapsed."""
    held = market.storage
    return lapsed(accused=held.accused, answered=market.answered, answer_by=held.answer_by, now=call.timestamp)


def slash(market: MemoryMarket, call: Call, payout: Payout, groups: int) -> None:
    """Take the stakes lost in a round's void groups and burn what compensation leaves of them; refused if the books cannot hold them."""
    held, where = market.storage, market.storage.where
    check_room(market, payout.slashed.bit_count() * market.terms.stake_wei)
    held.staked &= ~payout.slashed
    held.enrolled &= ~payout.slashed
    held.slashed |= payout.slashed
    held.owed_wei += payout.compensation_wei
    held.credit(BURN_ADDRESS, payout.burned_wei)
    facts = {"groups": groups, "slashedSeats": payout.slashed, "burnedWei": payout.burned_wei}
    call.log("Voided", epoch=where.epoch, round=where.number, **facts)


def resolve(market: MemoryMarket, guilty: int) -> None:
    """End a round's accusations: the fee goes to the accused, or back if it is guilty; what is left of the deposits goes back.

    Parameters
    ----------
    market : MemoryMarket
    guilty : int
        Bitmap of seats that have not answered when they should have.
    """
    held = market.storage
    for seat in bits_of(held.accused & ~market.answered):
        receiver = market.model_owner if guilty >> seat & 1 else held.seat_owners[seat]
        held.refund(receiver, market.terms.accuse_fee_wei)
        held.refund(market.model_owner, held.charges[seat].left_wei)
    held.charges.clear()


def _check_accused(market: MemoryMarket, seats: int, digests: tuple[bytes, ...]) -> None:
    held = market.storage
    if seats == 0:
        raise NoSeats
    digests_hash = keccak256(b"".join(digests))
    if digests_hash != held.roster_hash:
        raise WrongDigests(digests_hash, held.roster_hash)
    known = sum(held.roster_seats())
    if seats & ~known:
        raise UnknownSeats(seats, known)
    if seats & held.accused:
        raise AlreadyAccused(seats & held.accused)


def _check_points(charge: Charge, points: bytes, polynomials: int) -> None:
    if len(points) != POINT_BYTES * polynomials:
        raise MarketWrongLength(len(points), POINT_BYTES * polynomials)
    if keccak256(points) != charge.digest:
        raise WrongPoints(keccak256(points), charge.digest)


def _check_blobs(call: Call, points: list[bytes]) -> None:
    for index, point in enumerate(points):
        if decode_on_curve(point) is None:
            raise MarketBadPoint(index)
        actual = call.blob_hashes[index] if index < len(call.blob_hashes) else NO_HASH
        if actual != versioned_hash(point):
            raise WrongBlob(index, actual, versioned_hash(point))
