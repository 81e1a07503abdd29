"""Owner agents that break the protocol with an update that may be honest: silent, late, double-tongued, gone.

Each misuses an honest agent: what a class does not override follows the protocol. An attacker remembers in memory only, so one object must
see all messages of a data owner.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..crypto.digest import points_digest
from ..crypto.field import FieldVector
from ..crypto.kzg import commit
from ..crypto.projection import project, projection_seed
from ..data_owner.journal import Journal
from ..data_owner.local_agent import LocalAgent
from ..data_owner.owner_agent import Admission, MaskedUpdate, SignedCommitment
from ..errors import Refused
from ..market.ledger import DataOwnerLedger
from ..market.messages import Signer, sign_commitment, sign_delivery
from ..market.task import TaskId
from ..market.terms import Address
from .vectors import add_at


@dataclass(eq=False)
class Rogue:
    """An owner agent that does what an honest one does; base of those that do not.

    Parameters
    ----------
    honest : LocalAgent
        The agent that is misused, with its account and its journal.
    signer : Signer
        Signs anything here.
    journal : Journal
        Masked vectors are taken from it.
    """

    honest: LocalAgent
    _: KW_ONLY
    signer: Signer
    journal: Journal

    @property
    def ledger(self) -> DataOwnerLedger:
        """The market as this data owner sees it."""
        return self.honest.ledger

    def join(self, admission_data: bytes = b"") -> None:
        """Enrol for the next epoch; see `LocalAgent.join`."""
        self.honest.join(admission_data)

    def admit(self, task: TaskId) -> Admission:
        """See `OwnerAgent.admit`."""
        return self.honest.admit(task)

    def admit_evaluation(self, task: TaskId) -> tuple[str, ...]:
        """See `OwnerAgent.admit_evaluation`."""
        return self.honest.admit_evaluation(task)

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """See `OwnerAgent.commit`."""
        return self.honest.commit(task, update)

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """See `OwnerAgent.deliver`."""
        return self.instead_of(self.honest.deliver(chain_id, market, epoch, round_number, digests))

    def keep(self, chain_id: int, market: Address, name: str, content: bytes) -> None:
        """See `OwnerAgent.keep`."""
        self.honest.keep(chain_id, market, name, content)

    def kept(self, chain_id: int, market: Address, name: str) -> bytes:
        """See `OwnerAgent.kept`."""
        return self.honest.kept(chain_id, market, name)

    def instead_of(self, delivery: MaskedUpdate) -> MaskedUpdate:
        """What is delivered instead of an honest delivery."""
        return delivery

    def masked(self, chain_id: int, market: str, round_number: int, journal: Journal | None = None) -> FieldVector:
        """The masked vector that the honest agent made for a round, or the one of another journal."""
        entry = (journal or self.journal).find(chain_id, market, round_number)
        if entry is None or not entry.vector:
            raise Refused(f"round {round_number}: the misused agent has no vector; let it commit first")
        return FieldVector.from_bytes(entry.vector, len(entry.vector) // 32)

    def handed_over(self, chain_id: int, market: str, round_number: int, vector: FieldVector) -> MaskedUpdate:
        """Any vector, with its points and, in a projected market, its projection signed well."""
        masked = MaskedUpdate(self.signer.address, vector.to_bytes(), self.ledger.scheme().commit(vector))
        return self.projecting(chain_id, market, round_number, masked, vector)

    def projecting(self, chain_id: int, market: str, round_number: int, masked: MaskedUpdate, vector: FieldVector) -> MaskedUpdate:
        """The same update with the signed projection of any vector, in a projected market."""
        entry, state = self.journal.find(chain_id, market, round_number), self.ledger.state()
        if entry is None or not self.ledger.terms().projected:
            return masked
        seed = projection_seed(entry.task.settlement_context(state.epoch_seed), state.roster_hash)
        point = commit(project(vector, seed))
        signature = sign_delivery(self.signer, entry.task, state.roster_hash, points_digest(point))
        return replace(masked, projected=point, signature=signature)

    def signed(self, task: TaskId, digest: bytes) -> SignedCommitment:
        """Any digest, signed well."""
        return SignedCommitment(self.signer.address, digest, sign_commitment(self.signer, task, digest, self.ledger.state().open_by))

    def signed_vector(self, task: TaskId, vector: FieldVector) -> SignedCommitment:
        """The commitment to any vector, signed well."""
        scheme = self.ledger.scheme()
        return self.signed(task, scheme.digest(vector.to_bytes(), scheme.commit(vector)))


class CommitsAnew(Rogue):
    """A rogue that makes its commitment anew whenever it is asked; base of those whose commitment is not the honest one."""

    def admit(self, task: TaskId) -> Admission:
        """As if it had not committed yet."""
        return replace(self.honest.admit(task), commitment=None)


class NeverCommits(Rogue):
    """Trains, and never answers. Its group can't be whole, and sits the round out."""

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """Refuse."""
        raise Refused(f"round {task.round}: this data owner does not answer")


class NeverDelivers(Rogue):
    """Commits, and never delivers: the masks of its group do not cancel without it (a dropout, if it is not on purpose).

    Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017, recover from it; here it is accused.
    """

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """Refuse."""
        raise Refused(f"round {round_number}: this data owner does not answer")


@dataclass(eq=False, kw_only=True)
class Late(Rogue):
    """Does what is honest, but only after `wait`, so that it may come after a window has closed.

    Parameters
    ----------
    wait : callable, or float
        Called before it answers; a number is a sleep of so many seconds.
    exchange : ``"commit"`` or ``"deliver"`` (default: ``"deliver"``)
        Where it is late.
    """

    wait: Callable[[], None] | float
    exchange: str = "deliver"

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """Commit honestly, and answer later if that is where it is late."""
        commitment = super().commit(task, update)
        if self.exchange == "commit":
            self._wait()
        return commitment

    def instead_of(self, delivery: MaskedUpdate) -> MaskedUpdate:
        """The same, later if that is where it is late."""
        if self.exchange == "deliver":
            self._wait()
        return delivery

    def _wait(self) -> None:
        if callable(self.wait):
            self.wait()
        else:
            time.sleep(self.wait)


class Leaves(Rogue):
    """Commits, gives notice once the round is open, and is gone: hopes to have its stake back before anybody minds."""

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """Leave the market and refuse."""
        if not self.ledger.owner_record(self.signer.address).leave_at:
            self.ledger.leave()
        raise Refused(f"round {round_number}: this data owner has left")


@dataclass(eq=False, kw_only=True)
class SignsTwo(CommitsAnew):
    """Signs a second vector under the same masks whenever it is asked again, and delivers that one.

    Their difference would tell whoever sees both what changed; the market opens with one digest only.
    """

    _asked: dict[TaskId, int] = field(default_factory=dict, init=False)

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """The honest commitment first, another one every time after that."""
        honest = self.honest.commit(task, update)
        times = self._asked[task] = self._asked.get(task, 0) + 1
        return honest if times == 1 else self.signed_vector(task, self._second(task.chain_id, task.market, task.round))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """The second vector, whichever the round was opened with."""
        return self.handed_over(chain_id, market, round_number, self._second(chain_id, market, round_number))

    def _second(self, chain_id: int, market: str, round_number: int) -> FieldVector:
        return add_at(self.masked(chain_id, market, round_number), {0: 1})


@dataclass(eq=False, kw_only=True)
class ReplaysCommitment(CommitsAnew):
    """Answers every round with the commitment of the first."""

    _first: SignedCommitment | None = field(default=None, init=False)

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """The first commitment ever made."""
        commitment = self.honest.commit(task, update)
        self._first = self._first or commitment
        return self._first


@dataclass(eq=False, kw_only=True)
class ReplaysDelivery(Rogue):
    """Commits honestly, and delivers in every round what it delivered in the first."""

    _first: MaskedUpdate | None = field(default=None, init=False)

    def instead_of(self, delivery: MaskedUpdate) -> MaskedUpdate:
        """The first delivery ever made."""
        self._first = self._first or delivery
        return self._first


@dataclass(eq=False, kw_only=True)
class Copies(CommitsAnew):
    """Hands over what another member made as its own: its digest, its vector, or both, and signs that well.

    Parameters
    ----------
    victim : Journal
        Of the member that is copied, which must have committed: what somebody has who reads its messages on their way.
    exchanges : tuple of ``"commit"`` and ``"deliver"`` (default: both)
        Where it copies.
    """

    victim: Journal
    exchanges: tuple[str, ...] = ("commit", "deliver")

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """The honest commitment, or one to the other member's vector."""
        own = self.honest.commit(task, update)
        if "commit" not in self.exchanges:
            return own
        return self.signed_vector(task, self.masked(task.chain_id, task.market, task.round, self.victim))

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """Its own vector, or the other member's."""
        source = self.victim if "deliver" in self.exchanges else self.journal
        return self.handed_over(chain_id, market, round_number, self.masked(chain_id, market, round_number, source))


@dataclass(eq=False, kw_only=True)
class Impersonates(CommitsAnew):
    """Signs with its own key, and says that it is somebody else.

    Parameters
    ----------
    victim : Address
        Whose name it uses.
    """

    victim: Address

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """The honest commitment under another's name."""
        return replace(self.honest.commit(task, update), owner=self.victim)

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """Its own vector under another's name."""
        own = self.handed_over(chain_id, market, round_number, self.masked(chain_id, market, round_number))
        return replace(own, owner=self.victim)


@dataclass(eq=False, kw_only=True)
class JoinsWithKey(Rogue):
    """Enrols with a mask key of its choice: of low order, so that every secret shared with it is known, or another data owner's.

    Parameters
    ----------
    mask_key : bytes, length 32 (default: zeros, a key of low order)
        What it enrols with.
    """

    mask_key: bytes = bytes(32)

    def join(self, admission_data: bytes = b"") -> None:
        """Enrol with that key."""
        self.ledger.join(self.mask_key, admission_data)
