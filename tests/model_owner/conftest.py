"""A model owner's rounds with real data owners, without Flower."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnilytics_flwr.adversary.vectors import VectorAttack
from omnilytics_flwr.clock import Clock
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.fixedpoint import quantise, steps_per_clip
from omnilytics_flwr.crypto.kzg import BLOB_BYTES, commit
from omnilytics_flwr.crypto.projection import project
from omnilytics_flwr.data_owner.owner_agent import MaskedUpdate, SignedCommitment
from omnilytics_flwr.market.messages import sign_delivery
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.market.terms import Address
from omnilytics_flwr.model_owner.decision import Decision
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.data_owner.owners import TASK, WEIGHTS, Owner, make_owners_scene, make_wallet
from tests.support.builders import Scene, address_of
from tests.support.repeatable import repeatable_owners as repeatable_owners

NEXT = TaskParts(b"\4" * 32, b"\5" * 32, b"\6" * 32)


def honest_update(number: int) -> NDArray[np.float64]:
    """Update of a data owner; all point the same way."""
    common = np.random.default_rng(1000).normal(0.0, 0.3, WEIGHTS)
    return common + np.random.default_rng(number).normal(0.0, 0.02, WEIGHTS)


@dataclass
class Play:
    """A market, its keeper, and what its data owners do otherwise than honest ones.
    Attributes
    ----------
    updates : dict of int to array
        Updates of data owners that are not `honest_update`.
    units : dict of int to array
        Units that a data owner masks and commits to, whatever its policy says.
    attacks : dict of int to VectorAttack
        What becomes of the vector of such units.
    lost : set of int
        Data owners that do not deliver.
    tampered : callable, optional
        Changes deliveries on their way.
    answered_with : FieldVector, optional
        Of whose projection answers tell, if it is not their vector's.
    """

    scene: Scene
    owners: dict[int, Owner]
    keeper: RoundKeeper
    updates: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    units: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    attacks: dict[int, VectorAttack] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    tampered: Callable[[int, MaskedUpdate], MaskedUpdate] = lambda number, delivery: delivery
    answered_with: FieldVector | None = None
    _cheats: dict[int, MaskedUpdate] = field(default_factory=dict)

    def keep(
        self,
        *answering: int,
        wait: Callable[[float], None] | None = None,
        faults: Mapping[str, Callable[..., Any]] | None = None,
        **options: Any,
    ) -> list[str]:
        """Give the market a new keeper, as a new process would have it; the trouble that it will tell of.
        Time passes on the chain while it waits, and the data owners `answering` answer as soon as they are accused. `faults` are called
        in place of the ledger's methods of these names, with the method and its arguments.
        """
        trouble: list[str] = []
        ledger: Any = Faulty(self.scene.ledger(), faults or {})
        self.keeper = RoundKeeper(ledger, clock=Clock(wait or self.pass_time(*answering)), on_trouble=trouble.append, **options)
        return trouble

    def pass_time(self, *answering: int) -> Callable[[float], None]:
        def wait(seconds: float) -> None:
            self.scene.world.wait(math.ceil(seconds))
            for number in answering:
                if self.scene.state.accused & ~self.scene.state.answered & self.seat_bit(number):
                    self.answer(number)

        return wait

    def commitments(self, task: TaskId, numbers: Iterable[int]) -> dict[int, SignedCommitment]:
        """Commitments of these data owners."""
        made = {}
        for number in numbers:
            owner = self.owners[number]
            if number in self.units:
                made[number], self._cheats[number] = owner.commit_units(task, self.units[number], self.attacks.get(number))
            else:
                made[number] = owner.agent().commit(task, self.update_of(number))
        return made

    def update_of(self, number: int) -> NDArray[np.float64]:
        return self.updates.get(number, honest_update(number))

    def anchor_and_commit(self, parts: TaskParts = TASK, *, but: Collection[int] = ()) -> TaskId:
        """Up to the keeper's `open`; some data owners may not commit."""
        task = self.keeper.anchor(parts)
        self.commit_also(number for number in self.owners if number not in but)
        return task

    def commit_with_a_leaver(self, number: int) -> TaskId:
        """Up to the keeper's `open`; this data owner has committed, as no honest agent would, and may take its stake back."""
        self.units[number] = np.zeros(self.scene.ledger().scheme().places, dtype=np.int64)
        self.scene.ledger(number).leave()
        self.scene.world.wait(self.scene.terms.leave_seconds - 30)
        task = self.anchor_and_commit()
        self.scene.world.wait(30)
        return task

    def commit_also(self, numbers: Iterable[int]) -> None:
        """These data owners commit to the live task."""
        for commitment in self.commitments(self.keeper.live.task, numbers).values():
            self.keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)

    def deliveries(self, task: TaskId, digests: tuple[bytes, ...]) -> dict[int, MaskedUpdate]:
        """What those on the roster deliver."""
        made = {}
        for address in (member.owner for member in self.keeper.live.roster_members()):
            number = self.scene.number_of(address)
            if number in self.lost:
                continue
            honest = number not in self._cheats
            delivery = (
                self.owners[number].agent().deliver(task.chain_id, task.market, task.epoch, task.round, digests)
                if honest
                else self.projected(number, self._cheats[number])
            )
            made[number] = self.tampered(number, delivery)
        return made

    def projected(self, number: int, delivery: MaskedUpdate, signed: FieldVector | None = None) -> MaskedUpdate:
        """A delivery with what a projected market asks for: the projection of its vector, or of another, well signed."""
        if not self.scene.terms.projected:
            return delivery
        vector = FieldVector.from_bytes(delivery.vector, len(delivery.vector) // 32) if signed is None else signed
        point = commit(project(vector, self.keeper.live.projection_seed(self.scene.state.epoch_seed)))
        signature = sign_delivery(make_wallet(number), self.keeper.live.task, self.keeper.live.roster_hash(), points_digest(point))
        return replace(delivery, projected=point, signature=signature)

    def open_and_deliver(self, task: TaskId) -> None:
        digests = self.keeper.open()
        for delivery in self.deliveries(task, digests).values():
            self.add(delivery)

    def add(self, delivery: MaskedUpdate) -> None:
        """Hand a delivery to the keeper."""
        self.keeper.add_delivery(delivery.owner, delivery.vector, delivery.points, delivery.projected, delivery.signature)

    def run(self, following: TaskParts | None = None, parts: TaskParts = TASK) -> tuple[RoundReport, Decision, TaskId]:
        """A whole round."""
        task = self.anchor_and_commit(parts)
        self.open_and_deliver(task)
        decision = self.keeper.prove()
        return self.keeper.settle(decision, following), decision, task

    def answer(self, number: int) -> None:
        """A data owner answers the accusation of the live round with the vector in its journal, all polynomials in one transaction."""
        state = self.scene.state
        entry = self.owners[number].journal.find(self.scene.world.chain_id, self.scene.market.address, state.round)
        assert entry is not None
        blobs = tuple(entry.vector[start : start + BLOB_BYTES] for start in range(0, len(entry.vector), BLOB_BYTES))
        seat = self.scene.market.owner_record(address_of(number)).seat
        made = self.projected(number, MaskedUpdate(address_of(number), entry.vector, entry.points), self.answered_with)
        delivery = points_digest(made.projected) + made.signature if made.projected else b""
        self.scene.ledger(number).answer(state.round, seat, entry.points, 0, blobs, delivery)

    def seat_bit(self, number: int) -> int:
        """Bitmap of a data owner's seat."""
        return 1 << self.scene.market.owner_record(address_of(number)).seat

    def groups(self) -> list[tuple[int, ...]]:
        """Numbers of the members of each group of the epoch; positions, too, if every group is on the roster."""
        return [self.scene.owners_of(1 << number) for number in range(len(self.scene.market.storage.groups))]

    def position_of(self, number: int) -> int:
        return next(place for place, group in enumerate(self.groups()) if number in group)

    def mean_of(self, numbers: Iterable[int], task: TaskId) -> NDArray[np.float64]:
        """Plain mean of what these data owners' updates are once quantised."""
        terms, quantised = self.scene.terms, []
        for number in numbers:
            key = self.owners[number].keys.rounding_key(task)
            units = quantise(self.update_of(number), weights=terms.weights, bits=terms.update_bits, clip=terms.clip, key=key)
            quantised.append(units[: terms.weights] / steps_per_clip(terms.update_bits) * terms.clip)
        return np.asarray(np.mean(quantised, axis=0))

    def check_learnt(self, report: RoundReport, decision: Decision, task: TaskId) -> None:
        """The mean is that of the accepted, who are paid, and every book balances."""
        accepted, learnt = (
            [self.scene.number_of(owner) for position in positions for owner in report.roster[position]]
            for positions in (report.accepted, report.learnt)
        )
        if learnt:
            np.testing.assert_allclose(decision.mean, self.mean_of(learnt, task), rtol=0, atol=1e-12)
        else:
            assert decision.mean is None
        assert addresses(accepted) <= set(report.paid)
        assert self.scene.surplus_wei() == 0
        assert self.scene.state.owed_wei == sum(self.claimable().values())

    def claimable(self) -> Mapping[int, int]:
        """What each data owner could claim now."""
        return {number: self.scene.market.claimable_wei(address_of(number)) for number in self.owners}


def make_play(folder: Path, *, num_owners: int = 15, **changes: Any) -> Play:
    """A drawn market whose data owners are all real; nobody can be too far from zero unless the terms say so."""
    scene, owners = make_owners_scene(folder, num_owners=num_owners, **changes)
    play = Play(scene, owners, RoundKeeper(scene.ledger()))
    play.keep()
    return play


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return make_play(tmp_path)


class Faulty:
    """A ledger of which some methods are others."""

    def __init__(self, ledger: object, faults: Mapping[str, Callable[..., Any]]) -> None:
        self._ledger, self._faults = ledger, faults

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        return partial(self._faults[name], value) if name in self._faults else value


def failing(failure: Exception, times: int = 10**9) -> Callable[..., Any]:
    """A fault: the method fails so many times before each call that it answers."""
    tries = count(1)

    def call(method: Callable[..., Any], *arguments: object, **options: object) -> Any:
        if next(tries) % (times + 1):
            raise failure
        return method(*arguments, **options)

    return call


def addresses(numbers: Iterable[int]) -> set[Address]:
    return {address_of(number) for number in numbers}
