"""A round that is open and overdue, or has an accusation, without any vectors behind its digests."""

from __future__ import annotations

from omnilytics_flwr.market.commitment_message import sign_commitment
from omnilytics_flwr.market.task import TaskId
from tests.chain.market_play import ALL_GROUPS, TASK, Play

FUNDS_WEI = 10**18


def open_round(play: Play) -> tuple[bytes, ...]:
    """Fund, anchor and open the next round of a drawn market with everybody; the digests in the roster's order."""
    play.owner.fund(FUNDS_WEI)
    play.owner.anchor(TASK)
    state = play.owner.state()
    task = TaskId(play.owner.chain_id, play.owner.address, state.epoch, state.round, state.task_hash)
    wallet_of = {wallet.address: wallet for wallet in play.wallets}
    signers = {member.seat: wallet_of[member.owner] for member in play.owner.members()}
    digests = tuple(bytes([seat + 1]) * 32 for seat in play.seats())
    signed = tuple(sign_commitment(signers[seat], task, digest, state.open_by) for seat, digest in zip(play.seats(), digests, strict=True))
    play.owner.open(state.round, ALL_GROUPS, digests, signed)
    return digests
