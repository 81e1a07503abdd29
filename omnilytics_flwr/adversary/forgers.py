"""Owner agents that send what no honest agent makes: vectors and points that are not those of an update.

They keep nothing in memory: what they deliver follows from the journal of the agent that they misuse, so that a forger may answer in a new
process for each message.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..crypto.kzg import commit, points_digest
from ..data_owner.journal import Journal
from ..data_owner.local_agent import LocalAgent
from ..data_owner.owner_agent import Delivery, SignedCommitment
from ..market.commitment_message import Signer
from ..market.task import TaskId
from ..market.terms import Address
from .rogues import CommitsAnew, Rogue
from .vectors import VectorAttack, add_at


class Forges(CommitsAnew):
    """Commits to an attacked vector and delivers just that: nothing is wrong but the group's sum.

    Parameters
    ----------
    attack : VectorAttack
        What it makes of the honest, masked vector.
    """

    def __init__(self, honest: LocalAgent, *, signer: Signer, journal: Journal, attack: VectorAttack) -> None:
        super().__init__(honest, signer=signer, journal=journal)
        self._attack = attack

    def commit(self, task: TaskId, update: NDArray[np.float64]) -> SignedCommitment:
        """Commit to the attacked vector."""
        self.honest.commit(task, update)
        points = commit(self._attack(self.masked(task.chain_id, task.market, task.round)))
        return self.signed(task, points_digest(points))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """Deliver the attacked vector, without a look at the chain."""
        vector = self._attack(self.masked(chain_id, market, round_number))
        return Delivery(self.signer.address, vector.to_bytes(), commit(vector))


class DeliversAnother(Rogue):
    """Commits to one vector, and delivers another under the points of the first."""

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """The honest points with a vector that differs in one element."""
        honest = self.honest.deliver(chain_id, market, epoch, round_number, digests)
        return replace(honest, vector=add_at(self.masked(chain_id, market, round_number), {0: 1}).to_bytes())


class DeliversWrongLength(Rogue):
    """Delivers a vector without its last element."""

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """The honest points with too short a vector."""
        honest = self.honest.deliver(chain_id, market, epoch, round_number, digests)
        return replace(honest, vector=honest.vector[:-32])


class DeliversNotCanonical(Rogue):
    """Delivers a first element that is not below the field's order: two readers might take it for two numbers."""

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """The honest points with 2^256 - 1 in the vector."""
        honest = self.honest.deliver(chain_id, market, epoch, round_number, digests)
        return replace(honest, vector=b"\xff" * 32 + honest.vector[32:])


class CommitsToGarbage(CommitsAnew):
    """Commits to bytes that are no points, which nobody can see in a digest, and delivers them."""

    def commit(self, task: TaskId, update: NDArray[np.float64]) -> SignedCommitment:
        """Sign the digest of garbage."""
        self.honest.commit(task, update)
        return self.signed(task, points_digest(self._garbage(task.chain_id, task.market, task.round)))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """The honest vector with the garbage."""
        vector = self.masked(chain_id, market, round_number)
        return Delivery(self.signer.address, vector.to_bytes(), self._garbage(chain_id, market, round_number))

    def _garbage(self, chain_id: int, market: str, round_number: int) -> bytes:
        return bytes(range(128)) * (len(self.masked(chain_id, market, round_number)) // 4096)
