"""Who an admission contract admits, recomputed."""

from __future__ import annotations

from ..errors import WireError
from ..market.messages import SIGNATURE_BYTES, Voucher, recover
from ..market.terms import Address
from .market_base import Gate

_EPOCH_BYTES = 4


def voucher_gate(*, chain_id: int, market: Address, model_owner: Address, gate: Address) -> Gate:
    """What the voucher gate at the address `gate` answers the market."""

    def admits(owner: Address, epoch: int, data: bytes) -> bool:
        if len(data) != _EPOCH_BYTES + SIGNATURE_BYTES:
            return False
        through_epoch = int.from_bytes(data[:_EPOCH_BYTES], "big")
        signing_hash = Voucher(market, owner, through_epoch).signing_hash(chain_id=chain_id, gate=gate)
        try:
            return epoch <= through_epoch and recover(signing_hash, data[_EPOCH_BYTES:]) == model_owner
        except WireError:
            return False

    return admits
