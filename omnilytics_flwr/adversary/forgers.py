"""Owner agents that send what no honest agent makes: vectors and points that are not those of an update.

They keep nothing in memory: what they deliver follows from the journal of the agent that they misuse. So a forger may reply to each message
in a new process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..crypto.field import ELEMENT_BYTES, FieldVector
from ..crypto.kzg import commit, points_digest
from ..data_owner.owner_agent import Delivery, SignedCommitment
from ..market.task import TaskId
from ..market.terms import Address
from .rogues import CommitsAnew, Rogue
from .vectors import VectorAttack, add_at


@dataclass(eq=False, kw_only=True)
class Forges(CommitsAnew):
    """Commits to an attacked vector and delivers just that: nothing is wrong but the group's sum.

    Parameters
    ----------
    attack : VectorAttack
        What it makes of the honest, masked vector.
    """

    attack: VectorAttack

    def commit(self, task: TaskId, update: NDArray[np.float64]) -> SignedCommitment:
        """Commit to the attacked vector."""
        self.honest.commit(task, update)
        points = commit(self.attack(self.masked(task.chain_id, task.market, task.round)))
        return self.signed(task, points_digest(points))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """Deliver the attacked vector, without a look at the chain."""
        vector = self.attack(self.masked(chain_id, market, round_number))
        return Delivery(self.signer.address, vector.to_bytes(), commit(vector))


class DeliversAnother(Rogue):
    """Commits to one vector, and delivers another under the points of the first."""

    def instead_of(self, delivery: Delivery) -> Delivery:
        """A vector that differs in one element."""
        vector = FieldVector.from_bytes(delivery.vector, len(delivery.vector) // ELEMENT_BYTES)
        return replace(delivery, vector=add_at(vector, {0: 1}).to_bytes())


class DeliversWrongLength(Rogue):
    """Delivers a vector without its last element."""

    def instead_of(self, delivery: Delivery) -> Delivery:
        """Too short a vector."""
        return replace(delivery, vector=delivery.vector[:-ELEMENT_BYTES])


class DeliversNotCanonical(Rogue):
    """Delivers a first element that is not below the field's order: two readers might take it for two numbers."""

    def instead_of(self, delivery: Delivery) -> Delivery:
        """2^256 - 1 in the vector."""
        return replace(delivery, vector=b"\xff" * ELEMENT_BYTES + delivery.vector[ELEMENT_BYTES:])


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
