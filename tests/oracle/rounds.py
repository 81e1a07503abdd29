"""What makes a round: anchor, open, settle, timeout."""

from __future__ import annotations

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.crypto.statement import Statement, Verdict
from omnilytics_flwr.errors import WireError
from omnilytics_flwr.market.commitment_message import SIGNATURE_BYTES, recover
from omnilytics_flwr.market.dispute import void_groups
from omnilytics_flwr.market.krum import select
from omnilytics_flwr.market.refusals import (
    BadSignature,
    EpochOver,
    MarketTooFewGroups,
    MarketWrongLength,
    NoTask,
    NotStaked,
    TooEarly,
    TooLate,
    Underfunded,
    UnknownGroup,
)
from omnilytics_flwr.market.roster import bitmap_of, bits_of, groups_at, positions_of
from omnilytics_flwr.market.stage import Event

from .disputes import lapsed_now, resolve, slash
from .market import Call, MemoryMarket
from .payout import Payout, settlement_payout, timeout_payout
from .round import NO_TASK, Step


def anchor(market: MemoryMarket, call: Call, task_hash: bytes) -> None:
    """Start the next round.

    Checks: stage; the sender is the model owner; the task hash is not zero.
    """
    market.check_stage(Event.ANCHOR)
    market.check_model_owner(call)
    if task_hash == NO_TASK:
        raise NoTask

    market.move(Step(Event.ANCHOR, task_hash=task_hash))
    _note_anchored(market, call)


def open_round(market: MemoryMarket, call: Call, round_number: int, groups: int, digests: tuple[bytes, ...], signatures: bytes) -> None:
    """Open the live round with whole groups; from here it settles or everybody is paid.

    Checks: stage; the sender is the model owner; the round is the live one; it is not too late; the epoch has rounds left; the groups
    exist; there are enough; their members are all staked; a digest and a signature for each; the escrow covers all rewards and what
    the bond lacks; seat by seat, the owner has signed.
    """
    market.check_stage(Event.OPEN)
    market.check_model_owner(call)
    market.check_round(round_number)
    held, terms = market.storage, market.terms
    if call.timestamp > held.open_by:
        raise TooLate(call.timestamp, held.open_by)
    if held.where.opened_in_epoch >= terms.rounds_per_epoch:
        raise EpochOver(terms.rounds_per_epoch)
    roster = _check_groups(market, groups)
    members = sum(seats.bit_count() for seats in roster)
    if len(digests) != members:
        raise MarketWrongLength(len(digests), members)
    if len(signatures) != SIGNATURE_BYTES * members:
        raise MarketWrongLength(len(signatures), SIGNATURE_BYTES * members)
    lacking_wei = terms.bond_wei - held.bond_wei
    needed_wei = members * terms.reward_wei + lacking_wei
    if held.escrow_wei < needed_wei:
        raise Underfunded(held.escrow_wei, needed_wei)
    _check_signatures(market, roster, digests, signatures)

    market.move(Step(Event.OPEN, groups=groups))
    held.escrow_wei -= lacking_wei
    held.bond_wei += lacking_wei
    held.roster_hash = keccak256(b"".join(digests))
    held.settle_by = call.timestamp + terms.round_seconds
    call.log(
        "Opened",
        epoch=held.where.epoch,
        round=round_number,
        groups=groups,
        rosterHash=held.roster_hash,
        settleBy=held.settle_by,
    )


def settle(market: MemoryMarket, call: Call, round_number: int, settlement: bytes, waived: int, next_task_hash: bytes) -> None:
    """Settle the open round: verify, select, owe the rewards, void groups with a lapsed member, anchor the next task if there is one.

    Checks: stage; the sender is the model owner; the round is the live one; it is not too late; the waived groups are on the roster;
    the verification accepts the settlement; at most f groups go unpaid; the books can hold the lost stakes.
    """
    market.check_stage(Event.SETTLE)
    market.check_model_owner(call)
    market.check_round(round_number)
    held, groups = market.storage, market.storage.where.groups
    if call.timestamp > held.settle_by:
        raise TooLate(call.timestamp, held.settle_by)
    if waived & ~groups:
        raise UnknownGroup(waived, groups)
    lapsed_seats, paid_anyway = lapsed_now(market, call), positions_of(waived, groups)
    void = void_groups(held.roster_seats(), lapsed_seats) & ~paid_anyway
    statement = market.statement(paid_anyway | void)
    verdict = market.verification.verify(statement, settlement)
    accepted = _accepted(market, statement, verdict)

    payout = settlement_payout(
        held.roster_seats(), market.terms, accepted=accepted, waived=paid_anyway, void=void, lapsed_seats=lapsed_seats
    )
    _owe(market, round_number, payout)
    if void:
        slash(market, call, payout, groups_at(void, groups))
    resolve(market, payout.slashed)
    call.log(
        "Settled",
        epoch=held.where.epoch,
        round=round_number,
        accepted=groups_at(accepted, groups),
        waived=waived,
        excluded=groups_at(verdict.excluded, groups),
        paidSeats=payout.seats,
    )
    market.move(Step(Event.SETTLE, task_hash=next_task_hash))
    if next_task_hash != NO_TASK:
        _note_anchored(market, call)


def timeout(market: MemoryMarket, call: Call, round_number: int) -> None:
    """Owe everybody on the roster of a round that was not settled in time, but the lapsed, the reward and a share of the bond.

    Checks: stage; the round is the live one; it is past its deadline.
    """
    market.check_stage(Event.TIMEOUT)
    market.check_round(round_number)
    held, terms = market.storage, market.terms
    if call.timestamp <= held.settle_by:
        raise TooEarly(call.timestamp, held.settle_by + 1)

    lapsed_seats = lapsed_now(market, call)
    payout = timeout_payout(held.roster_seats(), reward_wei=terms.reward_wei, bond_wei=held.bond_wei, lapsed_seats=lapsed_seats)
    _owe(market, round_number, payout)
    resolve(market, lapsed_seats)
    held.bond_wei = 0
    held.escrow_wei += payout.remainder_wei
    market.move(Step(Event.TIMEOUT))
    call.log(
        "TimedOut",
        epoch=held.where.epoch,
        round=round_number,
        paidSeats=payout.seats,
        bondShareWei=payout.share_wei,
    )


def _note_anchored(market: MemoryMarket, call: Call) -> None:
    held = market.storage
    held.open_by = call.timestamp + market.terms.commit_seconds
    call.log(
        "Anchored",
        epoch=held.where.epoch,
        round=held.where.number,
        taskHash=held.where.task_hash,
        openBy=held.open_by,
    )


def _check_groups(market: MemoryMarket, groups: int) -> tuple[int, ...]:
    """Seats of each group of a roster that is known, large enough and staked."""
    held, least = market.storage, market.terms.least_groups
    known = (1 << len(held.groups)) - 1
    if groups & ~known:
        raise UnknownGroup(groups, known)
    if groups.bit_count() < least:
        raise MarketTooFewGroups(groups.bit_count(), least)
    roster = tuple(held.groups[group] for group in bits_of(groups))
    gone = 0
    for seats in roster:
        gone |= seats & ~held.staked
    if gone:
        raise NotStaked(gone)
    return roster


def _check_signatures(market: MemoryMarket, roster: tuple[int, ...], digests: tuple[bytes, ...], signatures: bytes) -> None:
    seats = [seat for group in roster for seat in bits_of(group)]
    for place, (seat, digest) in enumerate(zip(seats, digests, strict=True)):
        owner = market.storage.seat_owners[seat]
        signature = signatures[SIGNATURE_BYTES * place : SIGNATURE_BYTES * (place + 1)]
        try:
            signer = recover(market.commitment_hash(digest), signature)
        except WireError as error:
            raise BadSignature(seat, owner) from error
        if signer != owner:
            raise BadSignature(seat, owner)


def _accepted(market: MemoryMarket, statement: Statement, verdict: Verdict) -> int:
    """Roster positions of the groups that multi-Krum accepts among those taking part.

    Checks: only groups that might take part are excluded; a distance for each pair; at most f groups go unpaid.
    """
    known = bitmap_of(statement.taking_part())
    if verdict.excluded & ~known:
        raise UnknownGroup(verdict.excluded, known)
    taking_part = statement.taking_part(verdict.excluded)
    selection = select(
        verdict.distances,
        groups=len(taking_part),
        excluded=verdict.excluded.bit_count(),
        faulty_groups=market.terms.faulty_groups,
        scale=statement.scale(verdict.excluded),
        norm_bound=market.terms.norm_bound,
    )
    return bitmap_of(taking_part[group] for group in selection.accepted)


def _owe(market: MemoryMarket, round_number: int, payout: Payout) -> None:
    held = market.storage
    held.payouts[round_number] = payout
    held.escrow_wei -= payout.rewards_wei
    held.owed_wei += payout.rewards_wei + payout.shares_wei
