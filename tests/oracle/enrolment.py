"""What data owners ask of a market: join, leave, depart, claim."""

from __future__ import annotations

from dataclasses import replace

from omnilytics_flwr.crypto.masks import WeakMaskKey, check_mask_key
from omnilytics_flwr.market.market_view import OwnerRecord
from omnilytics_flwr.market.refusals import (
    BadMaskKey,
    Full,
    Leaving,
    NotAdmitted,
    NothingToClaim,
    NotLeaving,
    NotRegistered,
    OnRoster,
    TooEarly,
)
from omnilytics_flwr.market.roster import lowest_clear
from omnilytics_flwr.market.stage import Event
from omnilytics_flwr.market.terms import MOST_SEATS, Address

from .market import Call, MemoryMarket
from .money import collect, pay


def join(market: MemoryMarket, call: Call, mask_key: bytes, admission_data: bytes) -> None:
    """Register the sender with its stake if it is new, or take a lost stake again, and enrol it for the next epoch.

    Checks: stage; the key is usable; the sender is not leaving; the gate admits it; a new one finds a seat; the payment is the stake,
    or nothing if that is here.
    """
    market.check_stage(Event.JOIN)
    try:
        check_mask_key(mask_key)
    except WeakMaskKey as error:
        raise BadMaskKey(mask_key) from error
    held, owner = market.storage, call.sender
    record = held.record(owner)
    if record.leave_at:
        raise Leaving(owner, record.leave_at)
    if market.gate is not None and not market.gate(owner, admission_data):
        raise NotAdmitted(owner)

    if not record.registered:
        # A seat that was given up stays bound to its last owner while that is a member of the present epoch.
        taken = held.staked | held.slashed
        seat = lowest_clear(taken | held.members)
        if taken.bit_count() >= market.terms.most_owners or seat >= MOST_SEATS:
            raise Full(market.terms.most_owners)
        # What came before is not the newcomer's, whoever had the seat.
        record = OwnerRecord(registered=True, seat=seat, leave_at=0, claimed_through=held.where.number)
        held.records[owner] = record
        held.seat_owners[seat] = owner
    due_wei = 0
    if not held.staked >> record.seat & 1:
        due_wei = market.terms.stake_wei
        held.staked |= 1 << record.seat
        held.slashed &= ~(1 << record.seat)
    held.enrolled |= 1 << record.seat
    held.next_mask_keys[record.seat] = mask_key
    call.log("Joined", owner=owner, seat=record.seat, epoch=held.where.epoch + 1, maskKey=mask_key)
    collect(call, due_wei)


def leave(market: MemoryMarket, call: Call) -> None:
    """Take the sender out of the next epoch and let it depart after the delay.

    Checks: the sender is registered; it has not left before.
    """
    held, owner = market.storage, call.sender
    record = held.record(owner)
    if not record.registered:
        raise NotRegistered(owner)
    if record.leave_at:
        raise Leaving(owner, record.leave_at)

    leave_at = call.timestamp + market.terms.leave_seconds
    held.records[owner] = replace(record, leave_at=leave_at)
    held.enrolled &= ~(1 << record.seat)
    call.log("Left", owner=owner, leaveAt=leave_at)


def depart(market: MemoryMarket, call: Call, owner: Address) -> None:
    """Pay `owner` its stake, unless that is lost, and what finished rounds owe it, and forget it.

    Checks: the owner is registered; it has left, or its stake is lost; its delay is over, or its stake is lost; it is not on the open
    roster; it can be paid.
    """
    held = market.storage
    record = held.record(owner)
    if not record.registered:
        raise NotRegistered(owner)
    slashed = bool(held.slashed >> record.seat & 1)
    if not record.leave_at and not slashed:
        raise NotLeaving(owner)
    if call.timestamp < record.leave_at and not slashed:
        raise TooEarly(call.timestamp, record.leave_at)
    if any(seats >> record.seat & 1 for seats in held.roster_seats()):
        raise OnRoster(owner)

    owed_wei = market.claimable_wei(owner)
    amount_wei = owed_wei + (0 if slashed else market.terms.stake_wei)
    held.owed_wei -= owed_wei
    del held.records[owner]
    held.staked &= ~(1 << record.seat)
    held.slashed &= ~(1 << record.seat)
    call.log("Departed", owner=owner, seat=record.seat, amountWei=amount_wei)
    pay(market, call, owner, amount_wei)


def claim(market: MemoryMarket, call: Call, owner: Address, through_round: int) -> None:
    """Pay `owner` what the finished rounds after its cursor, up to `through_round`, owe it.

    Checks: the owner is registered; there is a finished round after its cursor and up to `through_round`; it can be paid.
    """
    held = market.storage
    record = held.record(owner)
    if not record.registered:
        raise NotRegistered(owner)
    through = min(through_round, held.where.finished)
    if through <= record.claimed_through:
        raise NothingToClaim(through_round, record.claimed_through)

    amount_wei = market.due_wei(owner, through)
    held.records[owner] = replace(record, claimed_through=through)
    held.owed_wei -= amount_wei
    call.log("Claimed", owner=owner, throughRound=through, amountWei=amount_wei)
    pay(market, call, owner, amount_wei)
