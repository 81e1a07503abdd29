"""Owner agents that send what no honest agent makes: vectors and points that are not those of an update.

They keep nothing in memory: what they deliver follows from the journal of the agent that they misuse. So a forger may reply to each message
in a new process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..crypto.digest import points_digest
from ..crypto.field import ELEMENT_BYTES, FieldVector
from ..data_owner.owner_agent import MaskedUpdate, SignedCommitment
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

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """Commit to the attacked vector."""
        self.honest.commit(task, update)
        return self.signed_vector(task, self.attack(self.masked(task.chain_id, task.market, task.round)))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """Deliver the attacked vector, without a look at the chain."""
        vector = self.attack(self.masked(chain_id, market, round_number))
        return self.handed_over(chain_id, market, round_number, vector)


class DeliversAnother(Rogue):
    """Commits to one vector, and delivers another under the points of the first."""

    def instead_of(self, delivery: MaskedUpdate) -> MaskedUpdate:
        """A vector that differs in one element."""
        vector = FieldVector.from_bytes(delivery.vector, len(delivery.vector) // ELEMENT_BYTES)
        return replace(delivery, vector=add_at(vector, {0: 1}).to_bytes())


class DeliversWrongLength(Rogue):
    """Delivers a vector without its last element."""

    def instead_of(self, delivery: MaskedUpdate) -> MaskedUpdate:
        """Too short a vector."""
        return replace(delivery, vector=delivery.vector[:-ELEMENT_BYTES])


class DeliversNotCanonical(Rogue):
    """Delivers a first element that is not below the field's order: two readers might take it for two numbers."""

    def instead_of(self, delivery: MaskedUpdate) -> MaskedUpdate:
        """2^256 - 1 in the vector."""
        return replace(delivery, vector=b"\xff" * ELEMENT_BYTES + delivery.vector[ELEMENT_BYTES:])


class ProjectsAnother(Rogue):
    """Delivers the vector that it committed to, with the signed projection of another: nobody on chain sees the difference.

    The model owner does, and waives or accuses; an answer on chain leaves it the waiver only.
    """

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """The honest vector, and the projection of one that differs in one element."""
        honest = self.honest.deliver(chain_id, market, epoch, round_number, digests)
        return self.projecting(chain_id, market, round_number, honest, add_at(self.masked(chain_id, market, round_number), {0: 1}))


class CommitsToGarbage(CommitsAnew):
    """Commits to bytes that are no points, which nobody can see in a digest, and delivers them."""

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """Sign the digest of garbage."""
        self.honest.commit(task, update)
        return self.signed(task, points_digest(self._garbage(task.chain_id, task.market, task.round)))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """The honest vector with the garbage."""
        own = self.handed_over(chain_id, market, round_number, self.masked(chain_id, market, round_number))
        return replace(own, points=self._garbage(chain_id, market, round_number))

    def _garbage(self, chain_id: int, market: str, round_number: int) -> bytes:
        return bytes(range(96)) * (len(self.masked(chain_id, market, round_number)) // 4096)
