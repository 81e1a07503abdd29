"""The owner agent: the one object that holds a data owner's keys, journal and policy.

`OwnerAgent` is what the Flower mod needs; `LocalAgent` is the agent in the mod's own process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..crypto.commitment import commit, points_digest
from ..crypto.field import FieldVector
from ..crypto.fixedpoint import pack, quantise
from ..crypto.hashing import keccak256
from ..crypto.masks import Peer, group_mask
from ..errors import OutOfTurn, ProtocolError, Refused, TaskMismatch
from ..market.ledger import Ledger, MarketState, Member
from ..market.roster import bits_of, member_place
from ..market.stage import Stage
from ..market.task import TaskId
from ..market.terms import Address, Terms
from .journal import Entry, Journal
from .keys import OwnerKeys
from .policy import Policy


@dataclass(frozen=True, slots=True)
class SignedCommitment:
    """What a data owner returns from the first exchange.

    Attributes
    ----------
    owner : Address
    digest : bytes, length 32
    signature : bytes, length 64
        EIP-2098.
    """

    owner: Address
    digest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a data owner hands over in the second exchange.

    Attributes
    ----------
    owner : Address
    vector : bytes, length 131072 B
        Masked field elements.
    points : bytes, length 128 B
        Their commitments.
    """

    owner: Address
    vector: bytes
    points: bytes


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to work on a task: the market's terms, and the commitment if there already is one for this round."""

    terms: Terms
    commitment: SignedCommitment | None


class Signer(Protocol):
    """Signs commitments for one account, and nothing else."""

    @property
    def address(self) -> Address:
        """Account whose signatures these are."""

    def sign_commitment(self, task: TaskId, digest: bytes, open_by: int) -> bytes:
        """Compact EIP-712 signature (EIP-2098), 64 bytes, low s."""


class OwnerAgent(Protocol):
    """What the mod asks of an agent. Every method raises a `ProtocolError` with the reason if the answer is no."""

    def admit(self, task: TaskId) -> Admission:
        """Check chain and policy before training."""

    def admit_evaluation(self, task: TaskId) -> Terms:
        """Check chain and policy before an evaluation."""

    def commit(self, task: TaskId, update: NDArray[np.float64]) -> SignedCommitment:
        """Quantise, mask, commit, sign, journal. The same round gives the same answer again."""

    def deliver(self, chain_id: int, market: Address, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """Hand the vector over if the chain shows that the round is open with it."""


class LocalAgent:
    """An owner agent in this process.

    Parameters
    ----------
    ledger : Ledger
        The market as this data owner sees it.
    signer : Signer
    keys : OwnerKeys
        Mask keys and rounding secret.
    journal : Journal
    policy : Policy
    on_work : callable, optional
        Called with kind of work (``"mask"``, ``"commit"``), task and seconds.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        signer: Signer,
        keys: OwnerKeys,
        journal: Journal,
        policy: Policy,
        on_work: Callable[[str, TaskId, float], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._signer = signer
        self._keys = keys
        self._journal = journal
        self._policy = policy
        self._on_work = on_work or (lambda kind, task, seconds: None)

    @property
    def ledger(self) -> Ledger:
        """The market as this data owner sees it."""
        return self._ledger

    def join(self, admission_data: bytes = b"") -> None:
        """Enrol for the next epoch with a mask key of its own; pays the stake if new."""
        self._policy.check_terms(self._ledger.address, self._ledger.terms())
        epoch = self._ledger.state().epoch + 1
        self._ledger.join(self._keys.mask_key(self._market_id(), epoch).public, admission_data)

    def admit(self, task: TaskId) -> Admission:
        """See `OwnerAgent.admit`."""
        with self._at_work():
            state, terms = self._check_task(task)
            entry = self._journal.find(task.chain_id, task.market, task.round)
            if entry is not None:
                return Admission(terms, self._repeat(entry, task))
            self._check_means(state, terms)
            self._check_history(task, self._group(state))
            return Admission(terms, None)

    def admit_evaluation(self, task: TaskId) -> Terms:
        """See `OwnerAgent.admit_evaluation`."""
        with self._at_work():
            state, terms = self._check_task(task)
            self._group(state)
            if not self._ledger.paid_seats(task.round - 1):
                raise Refused(f"round {task.round}: evaluations follow a settled round, and round {task.round - 1} paid nobody")
            if not self._journal.note_evaluation(task):
                raise Refused(f"round {task.round} is evaluated already; once a round is all")
            return terms

    def commit(self, task: TaskId, update: NDArray[np.float64]) -> SignedCommitment:
        """See `OwnerAgent.commit`."""
        with self._at_work():
            state, terms = self._check_task(task)
            entry = self._journal.find(task.chain_id, task.market, task.round)
            if entry is not None:
                return self._repeat(entry, task)
            group = self._group(state)
            self._check_history(task, group)
            with self._timed("mask", task):
                vector = self._masked(task, state, terms, group, update)
            with self._timed("commit", task):
                points = commit(vector)
            digest = points_digest(points)
            signature = self._signer.sign_commitment(task, digest, state.open_by)
            self._journal.write(Entry(task, _peers_hash(group), digest, signature, state.open_by, points, vector.to_bytes()))
            return SignedCommitment(self._signer.address, digest, signature)

    def deliver(self, chain_id: int, market: Address, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """See `OwnerAgent.deliver`."""
        with self._at_work():
            self._check_market(chain_id, market)
            entry = self._journal.find(chain_id, market, round_number)
            if entry is None or not entry.vector:
                raise Refused(f"round {round_number}: nothing is committed here, so nothing can be delivered")
            state = self._ledger.state(self._policy.confirmations)
            if state.stage is not Stage.OPEN or state.round != round_number or state.epoch != entry.task.epoch:
                raise OutOfTurn(state.stage.name.lower(), f"deliver in round {round_number}", ())
            self._check_roster(state, entry, digests)
            return Delivery(self._signer.address, entry.vector, entry.points)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._journal.locked():
            self._forget()
            yield

    @contextmanager
    def _timed(self, kind: str, task: TaskId) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._on_work(kind, task, time.perf_counter() - start)

    def _forget(self) -> None:
        """Delete what must not be kept: vectors of rounds that are over, mask keys of epochs that are over."""
        state = self._ledger.state()
        for entry in self._journal.entries():
            over = entry.task.round < state.round or state.stage not in (Stage.ANCHORED, Stage.OPEN)
            if entry.task.market == self._ledger.address and over:
                self._journal.empty(entry)
        self._keys.forget(self._market_id(), before_epoch=state.epoch)

    def _market_id(self) -> str:
        return f"{self._ledger.chain_id}-{self._ledger.address.lower()}"

    def _check_market(self, chain_id: int, market: str) -> None:
        if (chain_id, market.lower()) != (self._ledger.chain_id, self._ledger.address.lower()):
            raise Refused(
                f"this agent works for market {self._ledger.address} on chain {self._ledger.chain_id}, "
                f"the request names {market} on {chain_id}; set up an agent for that market if it is wanted"
            )

    def _check_task(self, task: TaskId) -> tuple[MarketState, Terms]:
        self._check_market(task.chain_id, task.market)
        terms = self._ledger.terms()
        self._policy.check_terms(self._ledger.address, terms)
        state = self._ledger.state()
        if state.stage is not Stage.ANCHORED or (state.epoch, state.round) != (task.epoch, task.round):
            raise OutOfTurn(state.stage.name.lower(), f"train in round {task.round} of epoch {task.epoch}", ())
        if state.task_hash != task.task_hash:
            raise TaskMismatch(
                f"round {task.round}: arrays and configuration hash to {task.task_hash.hex()}, "
                f"the market has anchored {state.task_hash.hex()}; somebody changed them on the way, or sends this client "
                "something else than the others. Nothing was trained"
            )
        return state, terms

    def _check_means(self, state: MarketState, terms: Terms) -> None:
        needed = state.members.bit_count() * terms.reward_wei + max(terms.bond_wei - state.bond_wei, 0)
        if state.escrow_wei < needed:
            raise Refused(f"the escrow holds {state.escrow_wei} wei, paying everybody takes {needed}; the model owner must fund it first")
        if self._ledger.now() > state.open_by:
            raise Refused(f"the round had to open by {state.open_by}, now is {self._ledger.now()}; the model owner must anchor it again")

    def _check_history(self, task: TaskId, group: tuple[Member, ...]) -> None:
        entries = self._journal.entries()
        sets, most = {entry.peers_hash for entry in entries} | {_peers_hash(group)}, self._policy.peer_sets_for(self._ledger.terms())
        if len(sets) > most:
            raise Refused(f"policy: these would be {len(sets)} different groups for one data set, at most {most} allowed")
        rounds = sum(entry.task.market == task.market for entry in entries) + 1
        if rounds > self._policy.most_rounds:
            raise Refused(f"policy: this would be round {rounds} of this market, at most {self._policy.most_rounds} allowed")

    def _repeat(self, entry: Entry, task: TaskId) -> SignedCommitment:
        if entry.task != task:
            raise Refused(f"round {task.round} is already committed for another task; a mask is used once")
        return SignedCommitment(self._signer.address, entry.digest, entry.signature)

    def _group(self, state: MarketState) -> tuple[Member, ...]:
        members = self._ledger.members()
        mine = next((m.seat for m in members if m.owner == self._signer.address), None)
        if mine is None:
            raise Refused(f"{self._signer.address} is not of epoch {state.epoch}; join, and wait for the next draw")
        for number in range(state.members.bit_count() // self._ledger.terms().group_size):
            seats = self._ledger.group_seats(number)
            if seats >> mine & 1:
                return tuple(m for m in members if seats >> m.seat & 1)
        raise ProtocolError(f"seat {mine} is in no group of epoch {state.epoch}; the market's draw is broken, leave it")

    def _masked(
        self, task: TaskId, state: MarketState, terms: Terms, group: tuple[Member, ...], update: NDArray[np.float64]
    ) -> FieldVector:
        rounding = self._keys.rounding_key(task)
        plain = pack(quantise(update, weights=terms.weights, bits=terms.update_bits, clip=terms.clip, key=rounding))
        mask = group_mask(
            self._keys.mask_key(self._market_id(), task.epoch),
            [Peer(bytes.fromhex(m.owner[2:]), m.mask_key) for m in group],
            epoch_seed=state.epoch_seed,
            chain_id=task.chain_id,
            market=bytes.fromhex(task.market[2:]),
            epoch=task.epoch,
            round_number=task.round,
            task_hash=task.task_hash,
            polynomials=terms.polynomials,
        )
        return plain + mask

    def _check_roster(self, state: MarketState, entry: Entry, digests: tuple[bytes, ...]) -> None:
        if keccak256(b"".join(digests)) != state.roster_hash:
            raise TaskMismatch("the digests sent do not hash to the roster on chain; nothing was delivered")
        seat = self._ledger.owner_record(self._signer.address).seat
        place = member_place([self._ledger.group_seats(number) for number in bits_of(state.groups)], seat)
        if place is None or place >= len(digests) or digests[place] != entry.digest:
            raise Refused(f"round {entry.task.round} was opened without this data owner's digest; nothing was delivered")


def _peers_hash(group: tuple[Member, ...]) -> bytes:
    """The same for the same data owners in every epoch, whatever their keys."""
    return keccak256(b"".join(sorted(bytes.fromhex(member.owner[2:]) for member in group)))
