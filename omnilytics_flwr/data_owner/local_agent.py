"""The owner agent: the one object that uses a data owner's keys, journal and policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..crypto.fixedpoint import Units, quantised_pieces
from ..crypto.masks import GroupMask
from ..errors import ChainError, Refused, WireError
from ..market.examples import limit_of, share_of
from ..market.ledger import DataOwnerLedger
from ..market.market_view import MarketState, Member
from ..market.messages import Signer, sign_commitment
from ..market.stage import Stage
from ..market.task import TaskId
from ..market.terms import Address
from .client_state import ClientState
from .journal import Entry, Journal
from .mask_ahead import CommittedMask, MaskAhead
from .masked_vector import FreshMask, RoundMask, mask_pieces, units_at_once
from .owner_agent import Admission, MaskedUpdate, SignedCommitment
from .owner_keys import OwnerKeys
from .policy import Policy
from .round_needs import disk_bytes
from .second_node import SecondNode
from .signed_projection import sign_projection
from .step_times import Spent, StepTimes
from .task_checks import TaskChecks, masks_hash, out_of_turn, peers_hash, peers_of


class LocalAgent:
    """An owner agent in this process; implements `omnilytics_flwr.data_owner.owner_agent.OwnerAgent`.

    Agents of several threads and processes may share keys and journal.

    Parameters
    ----------
    ledger, signer, keys, journal, client_state
        Of one data owner in one market.
    policy : Policy
        Read as for a public chain where it leaves that open.
    examples : int, 0 .. 2^32 - 1 (default: 0)
        Stated when it joins.
    on_work : callable, optional
        Called with task and what each step took, after a commitment is made (quantise, mask, commit, journal, sign) and after a delivery
        (journal; with a projection also project and sign).
    check_ready : callable, optional
        Asked before every commitment; raises `Refused` while nobody would answer an accusation. Left out, nobody answers them, and the
        data owner must deliver when it is asked to.
    second : SecondNode, optional
        Another node, which must show the same before a stake is paid, before a commitment is signed, and before a vector or metrics leave.
    ahead : bool, default False
        Make a round's mask, and its commitment, while the client trains. It is more work in all, so that it only helps an agent whose
        process has a core to itself. Where no points commit to a vector there is nothing to gain, and it is not done.
    """

    def __init__(
        self,
        *,
        ledger: DataOwnerLedger,
        signer: Signer,
        keys: OwnerKeys,
        journal: Journal,
        client_state: ClientState,
        policy: Policy,
        examples: int = 0,
        on_work: Callable[[TaskId, Mapping[str, Spent]], None] | None = None,
        check_ready: Callable[[], None] | None = None,
        second: SecondNode | None = None,
        ahead: bool = False,
    ) -> None:
        self._ledger = ledger
        self._signer = signer
        self._keys = keys
        self._journal = journal
        self._client_state = client_state
        self._examples = examples
        policy = policy.for_chain(is_local=False)
        self._confirmations, self._keep_blocks = policy.confirmations or 0, policy.keep_blocks or 0
        self._checks = TaskChecks(ledger=ledger, owner=signer.address, keys=keys, journal=journal, policy=policy)
        self._ahead = MaskAhead() if ahead else None
        self._on_work = on_work or (lambda task, steps: None)
        self._check_ready = check_ready or (lambda: None)
        self._second = second

    @property
    def ledger(self) -> DataOwnerLedger:
        """The market as this data owner sees it."""
        return self._ledger

    def join(self, admission_data: bytes = b"") -> None:
        """Enrol for the next epoch with a mask key of its own; pays the stake if new."""
        self._checks.policy()
        self._checks.stated(self._examples)
        if self._second is not None:
            self._second.terms()
        enrolled = 0
        while True:
            with self._journal.locked():
                epoch = max(self._ledger.state().epoch + 1, enrolled)
                key = self._keys.mask_key(self._checks.market_id, epoch)
                self._journal.note_joined(self._ledger.chain_id, self._ledger.address, epoch, self._examples)
            joined = self._ledger.join(key.public, admission_data, examples=self._examples)
            enrolled = int(str(joined.logs["Joined"]["epoch"]))
            if enrolled == epoch:
                return
            # Members were frozen meanwhile, so this key now stands for the epoch after: enrol again with that epoch's own, which is free.

    def enrol_again(self) -> None:
        """Enrol for the next epoch, as nobody tells it to; raises `Refused` if the policy lets it not work in one more group."""
        with self._journal.locked():
            self._checks.another_epoch()
        self.join()

    def admit(self, task: TaskId) -> Admission:
        """See `OwnerAgent.admit`."""
        with self._at_work():
            state, group = self._check_train(task)
            entry = self._journal.find(task.chain_id, task.market, task.round)
            if entry is None:
                self._checks.history(task, group)
                self._journal.check_room(disk_bytes(self._ledger.scheme()))
                if self._ahead is not None and self._ledger.scheme().points:
                    make = partial(CommittedMask, self._ledger.scheme(), self._mask_of(task, state, group))
                    self._ahead.start(task, masks_hash(state, group), make)
                return Admission(self._metrics, None, self._limit(group))
            return Admission(self._metrics, self._signed(entry, task, state, group), self._limit(group))

    def admit_evaluation(self, task: TaskId) -> tuple[str, ...]:
        """See `OwnerAgent.admit_evaluation`."""
        with self._at_work():
            state = self._checks.task(task, "evaluate")
            group = self._checks.group(state)
            self._checks.settled_before(task)
            if self._second is not None:
                self._second.evaluation(state, group, self._ledger)
            if not self._journal.note_evaluation(task):
                raise Refused(f"round {task.round} is evaluated already; once a round is all")
            return self._metrics

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """See `OwnerAgent.commit`."""
        times = StepTimes()
        with self._at_work():
            state, group = self._check_train(task)
            entry = self._journal.find(task.chain_id, task.market, task.round)
            if entry is not None:
                return self._signed(entry, task, state, group)
            keys_hash, scheme = masks_hash(state, group), self._ledger.scheme()
            ahead = self._ahead.take(task, keys_hash) if self._ahead is not None else None
            fresh, units = FreshMask(scheme, self._mask_of(task, state, group)), self._quantised(task, group, update)
        # The long part holds no lock: answers to accusations, and other homes with the same data set, need not wait for it.
        mask: RoundMask = fresh
        if ahead is not None:
            mask = made_ahead = ahead.result()
            times.add("mask", made_ahead.spent)
        vector, points = mask_pieces(units, mask, scheme, times)
        with times.step("commit"):
            counts = self._checks.counts(group)
            own = counts.pop(self._signer.address)
            made = Entry(task, peers_hash(group), keys_hash, scheme.digest(vector, points), points, vector, own, counts)
        with self._journal.locked(counting=True):
            entry = self._journal.find(task.chain_id, task.market, task.round)
            if entry is None:
                self._checks.history(task, group)
                with times.step("journal"):
                    self._journal.write(made)  # before the signature is made: whatever happens now, no other vector gets these masks
            with times.step("sign"):
                signed = self._signed(entry or made, task, state, group)
        if entry is None:
            self._on_work(task, times.steps)
        return signed

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """See `OwnerAgent.deliver`."""
        times = StepTimes()
        with self._at_work():
            self._checks.market(chain_id, market)
            with times.step("journal"):
                entry = self._journal.find(chain_id, market, round_number)
            if entry is None or not entry.vector:
                raise Refused(f"round {round_number}: nothing is committed here, so nothing can be delivered")
            state = self._ledger.state(self._confirmations)
            if state.stage is not Stage.OPEN or (state.round, state.epoch) != (round_number, epoch) or epoch != entry.task.epoch:
                raise out_of_turn(state, f"deliver in round {round_number} of epoch {epoch}")
            group = self._checks.roster(state, entry, digests)
            latest = self._ledger.state()
            if latest.stage is not Stage.OPEN or latest.round != round_number:
                raise out_of_turn(latest, f"deliver in round {round_number} of epoch {epoch}")
            self._checks.in_time(latest, group)
            if self._second is not None:
                self._second.delivery(state, self._confirmations)
            masked = MaskedUpdate(self._signer.address, entry.vector, entry.points, metrics=self._metrics)
            if self._ledger.terms().projected:
                signed = sign_projection(entry, state, journal=self._journal, signer=self._signer, times=times)
                masked = replace(masked, projected=signed.point, signature=signed.signature)
        self._on_work(entry.task, times.steps)
        return masked

    def keep(self, chain_id: int, market: Address, name: str, content: bytes) -> None:
        """See `OwnerAgent.keep`."""
        self._checks.market(chain_id, market)
        self._client_state.keep(self._checks.market_id, name, content)

    def kept(self, chain_id: int, market: Address, name: str) -> bytes:
        """See `OwnerAgent.kept`."""
        self._checks.market(chain_id, market)
        return self._client_state.kept(self._checks.market_id, name)

    def tidy(self) -> None:
        """Delete what must not be kept: vectors of rounds that are over, mask keys of epochs that are over."""
        with self._at_work():
            pass

    @property
    def _metrics(self) -> tuple[str, ...]:
        return self._ledger.terms().metrics

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._journal.locked():
            self._forget()
            yield

    def _check_train(self, task: TaskId) -> tuple[MarketState, tuple[Member, ...]]:
        state = self._checks.task(task, "train")
        self._checks.means(state)
        self._checks.stays(state)
        self._check_ready()
        group = self._checks.group(state)
        if self._second is not None:
            self._second.commitment(state, group)
        return state, group

    def _signed(self, entry: Entry, task: TaskId, state: MarketState, group: tuple[Member, ...]) -> SignedCommitment:
        """The journal's digest, signed for the present deadline: a task that was anchored again by a reorganised chain has another."""
        self._checks.repeat(entry, task, state, group)
        signature = sign_commitment(self._signer, task, entry.digest, state.open_by)
        return SignedCommitment(self._signer.address, entry.digest, signature)

    def _forget(self) -> None:
        try:
            state = self._ledger.state(self._keep_blocks)
        except (ChainError, WireError):
            if not self._keep_blocks:
                raise
            return  # the market was not there yet, or the node has forgotten: keep everything for now
        for number in self._journal.full_rounds(self._ledger.chain_id, self._ledger.address):
            if self._is_over(number, state):
                self._journal.empty(self._ledger.chain_id, self._ledger.address, number)
        self._keys.forget(self._checks.market_id, before_epoch=state.epoch + self._unneeded_epochs(state))

    def _unneeded_epochs(self, state: MarketState) -> int:
        """How many epochs from the present one on need no mask key: all in a closed market, this one once the data owner has departed."""
        if state.stage is Stage.CLOSED:
            return 2
        return int(not self._ledger.owner_record(self._signer.address).registered)

    def _is_over(self, number: int, state: MarketState) -> bool:
        """Whether nobody can ask for the vector of a round any more."""
        if number != state.round or state.stage not in (Stage.ANCHORED, Stage.OPEN):
            return number <= state.round
        deadline = state.settle_by if state.stage is Stage.OPEN else state.open_by + self._ledger.terms().round_seconds
        return self._ledger.now() > deadline

    def _limit(self, group: tuple[Member, ...]) -> float:
        terms = self._ledger.terms()
        return limit_of(terms.clip, self._checks.counts(group)[self._signer.address], terms.usual_examples)

    def _quantised(self, task: TaskId, group: tuple[Member, ...], update: NDArray[np.floating]) -> Iterator[Units]:
        terms, scheme, counts = self._ledger.terms(), self._ledger.scheme(), self._checks.counts(group)
        share = share_of(counts[self._signer.address], counts.values())
        return quantised_pieces(
            np.asarray(update),
            weights=terms.weights,
            bits=terms.update_bits,
            clip=terms.clip / share,  # and so it comes out times the share
            limit=self._limit(group),
            key=self._keys.rounding_key(task),
            places=scheme.places,
            at_once=units_at_once(scheme),
        )

    def _mask_of(self, task: TaskId, state: MarketState, group: tuple[Member, ...]) -> GroupMask:
        return GroupMask(
            self._keys.mask_key(self._checks.market_id, task.epoch),
            peers_of(group),
            epoch_seed=state.epoch_seed,
            chain_id=task.chain_id,
            market=bytes.fromhex(task.market[2:]),
            epoch=task.epoch,
            round_number=task.round,
            task_hash=task.task_hash,
        )
