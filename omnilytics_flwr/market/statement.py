"""What a settlement is bound to (docs/protocol.md section 7)."""

from __future__ import annotations

from ..crypto.address import address_bytes
from ..crypto.hashing import keccak256, tag, word
from .terms import Address


def settlement_context(*, chain_id: int, market: Address, epoch_seed: bytes, epoch: int, round_number: int, task_hash: bytes) -> bytes:
    """Hash that binds a settlement to one task of one round of one market, 32 bytes.

    Parameters
    ----------
    chain_id : int
        EIP-155 chain id.
    market : Address
        The market.
    epoch_seed : bytes, length 32
        Seed of the epoch's draw.
    epoch, round_number : int
        The open round.
    task_hash : bytes, length 32
        Its task.
    """
    market_word = bytes(12) + address_bytes(market)
    numbers = word(epoch) + word(round_number)
    return keccak256(tag("settlement") + word(chain_id) + market_word + epoch_seed + numbers + task_hash)
