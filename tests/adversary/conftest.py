"""A market in memory with real agents, keeper and proofs, some of whose data owners are rogues."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnilytics_flwr.adversary.knowledge import Knowledge, UpdateAttack
from omnilytics_flwr.adversary.registry import rogue_named
from omnilytics_flwr.adversary.rogues import Rogue
from omnilytics_flwr.clock import Clock
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.data_owner.owner_agent import OwnerAgent
from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.data_owner.owners import Owner, make_owners_scene, make_wallet
from tests.flower.conftest import task_identity as task_identity
from tests.model_owner.conftest import honest_update
from tests.support.builders import Scene, address_of
from tests.support.repeatable import repeatable_owners as repeatable_owners

REWARD_WEI, STAKE_WEI = 1_000, 5_000


@dataclass
class Game:
    """A market and everybody in it, by number: the rogues, the updates that are not honest, and what an agent or the keeper refused."""

    scene: Scene
    owners: dict[int, Owner]
    keeper: RoundKeeper
    rogues: dict[int, Rogue] = field(default_factory=dict)
    updates: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    refused: dict[int, list[OmnilyticsError]] = field(default_factory=dict)
    _agents: dict[int, OwnerAgent] = field(default_factory=dict)

    def group(self, place: int = 0) -> tuple[int, ...]:
        """Numbers of the members of a group."""
        return self.scene.owners_of(1 << place)

    def others(self, *groups: int) -> set[int]:
        """Everybody but the members of these groups."""
        return set(self.owners) - {number for place in groups for number in self.group(place)}

    def turn(self, number: int, name: str, **options: Any) -> Rogue:
        """Make a data owner a rogue."""
        owner = self.owners[number]
        self.rogues[number] = rogue_named(name, owner.agent(), signer=make_wallet(number), journal=owner.journal, **options)
        return self.rogues[number]

    def turn_one(self, name: str, place: int = 0, **options: Any) -> int:
        """Make the first member of a group a rogue; its number."""
        number = self.group(place)[0]
        self.turn(number, name, **options)
        return number

    def play(self, number: int = 1) -> RoundReport:
        """A whole round."""
        task = self.anchor(number)
        self.commit(task)
        self.deliver(task, self.keeper.open())
        return self.settle()

    def anchor(self, number: int = 1) -> TaskId:
        return self.keeper.anchor(TaskParts(keccak256(b"game" + word(number)), bytes(32), bytes(32)))

    def commit(self, task: TaskId, numbers: Iterable[int] | None = None) -> None:
        """Everybody, or some, commit."""
        for number in self.owners if numbers is None else numbers:
            try:
                commitment = self._agent(number).commit(task, self.updates.get(number, honest_update(number)))
                self.keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)
            except OmnilyticsError as error:
                self.refused.setdefault(number, []).append(error)

    def deliver(self, task: TaskId, digests: tuple[bytes, ...]) -> None:
        """Everybody on the roster delivers."""
        for address in (member.owner for member in self.keeper.live.roster_members()):
            number = self.scene.number_of(address)
            try:
                made = self._agent(number).deliver(task.chain_id, self.scene.market.address, task.epoch, task.round, digests)
                self.keeper.add_delivery(made.owner, made.vector, made.points, made.projected, made.signature)
            except OmnilyticsError as error:
                self.refused.setdefault(number, []).append(error)

    def settle(self) -> RoundReport:
        report = self.keeper.settle(self.keeper.prove(), None)
        assert self.scene.surplus_wei() == 0
        return report

    def owed(self) -> dict[int, int]:
        """What everybody could claim now, in wei."""
        return {number: self.scene.market.claimable_wei(address_of(number)) for number in self.owners}

    def has_stake(self, number: int) -> bool:
        """Whether the market still holds a data owner's stake."""
        return bool(self.scene.state.staked >> self.scene.market.owner_record(address_of(number)).seat & 1)

    def fate(self, report: RoundReport, place: int) -> str:
        """What became of a group."""
        address = address_of(self.group(place)[0])
        position = next((i for i, members in enumerate(report.roster) if address in members), None)
        fates = ("accepted", "ineligible", "dropped", "waived", "void")
        return "absent" if position is None else next(fate for fate in fates if position in getattr(report, fate))

    def _agent(self, number: int) -> OwnerAgent:
        if number in self.rogues:
            return self.rogues[number]
        return self._agents.setdefault(number, self.owners[number].agent())


def make_game(folder: Path, *, num_owners: int = 15, missing: str = "accuse", **changes: Any) -> Game:
    """Groups of three, of which f = 1 may go unpaid; who does not deliver is accused."""
    scene, owners = make_owners_scene(folder, num_owners=num_owners, **changes)
    keeper = RoundKeeper(
        scene.ledger(),
        missing=missing,  # type: ignore[arg-type]
        clock=Clock(lambda seconds: scene.world.wait(math.ceil(seconds)), poll_seconds=60.0),
    )
    return Game(scene, owners, keeper)


def attack_update(game: Game, number: int, attack: UpdateAttack) -> None:
    """Let a data owner send what an attack makes of its honest update; it knows everybody else's."""
    seen = tuple(honest_update(other) for other in game.owners if other != number)
    game.updates[number] = attack(Knowledge(honest_update(number), rng=np.random.default_rng(number), seen=seen, owners=len(game.owners)))
