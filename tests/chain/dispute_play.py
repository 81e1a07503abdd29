"""An open round whose members can be accused, with vectors of as many polynomials as it takes several transactions to answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.commitment import commit, points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.fixedpoint import pack
from omnilytics_flwr.evm.wallet import Wallet
from omnilytics_flwr.market.dispute import BLOB_BYTES, BLOBS_PER_TRANSACTION
from omnilytics_flwr.market.task import TaskId

from .market_play import ALL_GROUPS, TASK, Play

POLYNOMIALS = 7
WEIGHTS = POLYNOMIALS * 8192
FUNDS_WEI = 10**18


@dataclass(frozen=True)
class Dispute:
    """An open round and the member that it is about.

    Attributes
    ----------
    play : Play
    seat : int
    vector : bytes
        The accused's, as it travels.
    points : bytes
    digests : tuple of bytes
        Of the whole roster.
    """

    play: Play
    seat: int
    vector: bytes
    points: bytes
    digests: tuple[bytes, ...]

    @property
    def owner(self) -> EthereumLedger:
        """The model owner's view."""
        return self.play.owner

    def accuse(self) -> None:
        """Accuse the member."""
        self.owner.accuse(1, 1 << self.seat, self.digests)

    def blobs(self, first: int) -> tuple[bytes, ...]:
        """Blobs of the answer that begins at a polynomial."""
        last = min(first + BLOBS_PER_TRANSACTION, POLYNOMIALS)
        return tuple(self.vector[at * BLOB_BYTES : (at + 1) * BLOB_BYTES] for at in range(first, last))


def open_dispute(play: Play, *, seat: int) -> Dispute:
    """Play a new market until its first round is open; only the digest of `seat` belongs to a vector."""
    play.join_all()
    play.draw()
    play.owner.fund(FUNDS_WEI)
    play.owner.anchor(TASK)
    vector = wide_vector()
    points = commit(vector)
    digests = {other: bytes([other + 1]) * 32 for other in play.seats()} | {seat: points_digest(points)}
    state = play.owner.state()
    task = TaskId(play.owner.chain_id, play.owner.address, state.epoch, state.round, state.task_hash)
    wallet_of: dict[str, Wallet] = {wallet.address: wallet for wallet in play.wallets}
    signers = {member.seat: wallet_of[member.owner] for member in play.owner.members()}
    in_order = tuple(digests[other] for other in play.seats())
    signed = [signers[other].sign_commitment(task, digests[other], state.open_by) for other in play.seats()]
    play.owner.open(1, ALL_GROUPS, in_order, tuple(signed))
    return Dispute(play, seat, vector.to_bytes(), points, in_order)


def wide_vector() -> FieldVector:
    """A vector of seven polynomials with elements all over the place."""
    return pack(np.random.default_rng(8).integers(1, 1 << 16, WEIGHTS).astype(np.uint64))
