"""What begins and ends an epoch: freeze, draw, close."""

from __future__ import annotations

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.market.draw import cut_groups, group_count, rank
from omnilytics_flwr.market.refusals import DrawLapsed, DrawTooEarly, MarketWrongLength, TooEarly, WrongHeader, WrongOrder
from omnilytics_flwr.market.roster import bits_of
from omnilytics_flwr.market.stage import Event, Stage

from .header import HISTORY_BLOCKS
from .market import Call, MemoryMarket
from .round import Step


def freeze(market: MemoryMarket, call: Call) -> None:
    """Fix the enrolled data owners as the next epoch, and the block that will seed its draw.

    Checks: stage; the sender is the model owner; the enrolled make enough groups; they can be cut evenly.
    """
    market.check_stage(Event.FREEZE)
    market.check_model_owner(call)
    held, terms = market.storage, market.terms
    group_count(held.enrolled.bit_count(), group_size=terms.group_size, least_groups=terms.least_groups)

    market.move(Step(Event.FREEZE))
    held.members, held.enrolled = held.enrolled, 0
    held.mask_keys = {seat: held.next_mask_keys[seat] for seat in bits_of(held.members)}
    held.next_mask_keys = {}
    held.groups = ()
    held.draw_block = call.world.number + terms.draw_delay_blocks
    call.log("Frozen", epoch=held.where.epoch, members=held.members, drawBlock=held.draw_block)


def draw(market: MemoryMarket, call: Call, header: bytes, order: bytes) -> None:
    """Sort the epoch's members into groups by the randomness of the block that the freeze named.

    Checks: stage; that block is past; it is still in history; the header is its header; the order is as long as there are members; place
    by place, it names a member, of higher rank than the one before. Strictly rising ranks name nobody twice, hence all.
    """
    market.check_stage(Event.DRAW)
    held, block_number = market.storage, call.world.number
    if block_number <= held.draw_block:
        raise DrawTooEarly(block_number, held.draw_block)
    if block_number > held.draw_block + HISTORY_BLOCKS:
        raise DrawLapsed(block_number, held.draw_block)
    expected = call.world.block_hash(held.draw_block)
    if keccak256(header) != expected:
        raise WrongHeader(keccak256(header), expected)
    seed = market.draw_seed(header)
    if len(order) != held.members.bit_count():
        raise MarketWrongLength(len(order), held.members.bit_count())
    last = bytes(32)
    for place, seat in enumerate(order):
        if not held.members >> seat & 1 or rank(seed, held.seat_owners[seat]) <= last:
            raise WrongOrder(place)
        last = rank(seed, held.seat_owners[seat])

    market.move(Step(Event.DRAW))
    held.epoch_seed = seed
    held.groups = cut_groups(order, market.terms.group_size)
    call.log("Drawn", epoch=held.where.epoch, epochSeed=seed, order=order)


def close(market: MemoryMarket, call: Call) -> None:
    """End the market: escrow and bond are credited to the model owner.

    Checks: stage; if the epoch is frozen, its draw has lapsed, otherwise the sender is the model owner.
    """
    market.check_stage(Event.CLOSE)
    held = market.storage
    if held.where.stage is Stage.FROZEN:
        lapsed_from = held.draw_block + HISTORY_BLOCKS + 1
        if call.world.number < lapsed_from:
            raise TooEarly(call.world.number, lapsed_from)
    else:
        market.check_model_owner(call)

    credit_wei = held.escrow_wei + held.bond_wei
    market.move(Step(Event.CLOSE))
    held.escrow_wei = held.bond_wei = 0
    held.credit(market.model_owner, credit_wei)
    call.log("Closed", creditWei=credit_wei)
