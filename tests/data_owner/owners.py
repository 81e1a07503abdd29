"""Data owners with real agents, wallets, keys and journals in a market in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from omnilytics_flwr.adversary.vectors import VectorAttack
from omnilytics_flwr.crypto.masks import GroupMask, Peer
from omnilytics_flwr.data_owner.client_state import ClientState
from omnilytics_flwr.data_owner.journal import Journal
from omnilytics_flwr.data_owner.local_agent import LocalAgent
from omnilytics_flwr.data_owner.owner_agent import MaskedUpdate, OwnerAgent, SignedCommitment
from omnilytics_flwr.data_owner.owner_keys import OwnerKeys
from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.data_owner.second_node import SecondNode
from omnilytics_flwr.data_owner.step_times import Spent
from omnilytics_flwr.errors import Refused
from omnilytics_flwr.evm.wallet import Secret, Wallet
from omnilytics_flwr.market.messages import sign_commitment
from omnilytics_flwr.market.roster import bits_of, roster_hash
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.market.terms import Address
from tests.oracle import ComputedVerification, SumcheckVerification, Verification
from tests.support.builders import Scene, address_of, make_account, make_digest, make_mask_key, make_scene, make_terms

WEIGHTS = 42
TASK = TaskParts(b"\1" * 32, b"\2" * 32, b"\3" * 32)


SHORT: dict[str, object] = {"least-draw-delay-blocks": 2}
"""Policy entries that allow the terms of tests."""


def update_of(number: int) -> NDArray[np.float64]:
    """An update like that of honest training, another for each number."""
    return np.random.default_rng(number).normal(0.0, 0.2, WEIGHTS)


def make_wallet(number: int) -> Wallet:
    """Wallet of `tests.support.builders.make_account`."""
    return Wallet(Secret(bytes(make_account(number).key)))


def market_id(scene: Scene) -> str:
    """Name under which an agent keeps its mask keys for this market."""
    return f"{scene.world.chain_id}-{scene.market.address.lower()}"


@dataclass
class Owner:
    """A data owner: its account's number and its folder; `agent` gives a new agent on them every time it is called."""

    scene: Scene
    number: int
    folder: Path
    policy: Policy
    data_set: Path | None = None
    examples: int = 0

    @property
    def address(self) -> Address:
        return address_of(self.number)

    @property
    def keys(self) -> OwnerKeys:
        return OwnerKeys(self.folder / "keys")

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal", self.data_set)

    @property
    def mask_files(self) -> list[Path]:
        return sorted((self.folder / "keys").glob("mask-*"))

    def agent(
        self,
        on_work: Callable[[TaskId, Mapping[str, Spent]], None] | None = None,
        check_ready: Callable[[], None] | None = None,
        second: SecondNode | None = None,
        ahead: bool = False,
        **policy: object,
    ) -> LocalAgent:
        """A new agent, as a new process would have it; policy entries as in ``owner.toml``."""
        return LocalAgent(
            ledger=self.scene.ledger(self.number),
            signer=make_wallet(self.number),
            keys=self.keys,
            journal=self.journal,
            client_state=ClientState(self.folder / "client"),
            policy=Policy.from_mapping(SHORT | policy) if policy else self.policy,
            examples=self.examples,
            on_work=on_work,
            check_ready=check_ready,
            second=second,
            ahead=ahead,
        )

    def commit(self, task: TaskId, number: int = 0) -> SignedCommitment:
        """Commit the update of that number."""
        return self.agent().commit(task, update_of(number))

    def deliver(self, task: TaskId, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """Deliver in the round of a task."""
        return self.agent().deliver(task.chain_id, task.market, task.epoch, task.round, digests)

    def commit_units(
        self, task: TaskId, units: NDArray[np.int64], attack: VectorAttack | None = None
    ) -> tuple[SignedCommitment, MaskedUpdate]:
        """What a data owner sends that masks and signs well, but whatever units it likes, and whatever an attack makes of their vector."""
        state, members = self.scene.state, self.scene.market.members()
        scheme = self.scene.ledger().scheme()
        seat = next(member.seat for member in members if member.owner == self.address)
        seats = next(group for group in self.scene.market.storage.groups if group >> seat & 1)
        mask = GroupMask(
            self.keys.mask_key(market_id(self.scene), task.epoch),
            [Peer(bytes.fromhex(m.owner[2:]), m.mask_key) for m in members if seats >> m.seat & 1],
            chain_id=task.chain_id,
            market=bytes.fromhex(task.market[2:]),
            epoch_seed=state.epoch_seed,
            epoch=task.epoch,
            round_number=task.round,
            task_hash=task.task_hash,
        ).read(scheme.elements)
        vector = scheme.pack(units) + mask
        if attack is not None:
            vector = attack(vector)
        raw, points = vector.to_bytes(), scheme.commit(vector)
        digest = scheme.digest(raw, points)
        signature = sign_commitment(make_wallet(self.number), task, digest, state.open_by)
        return SignedCommitment(self.address, digest, signature), MaskedUpdate(self.address, raw, points)


def make_owners_scene(
    folder: Path,
    *,
    num_owners: int = 15,
    real: Sequence[int] | None = None,
    escrow_wei: int = 200_000,
    policy: Mapping[str, object] | None = None,
    verification: Verification | None = None,
    computed: bool = False,
    examples: Sequence[int] = (),
    **term_changes: object,
) -> tuple[Scene, dict[int, Owner]]:
    """A drawn and funded market, and those of its data owners that are `real`, by number; all if none are named.
    The others have joined as well, but are nothing but an account and a mask key. They state `examples`, if that is given.
    """
    changes = {"weights": WEIGHTS, "update_bits": 16, "norm_bound": 2**60} | term_changes
    usual: Verification = SumcheckVerification()
    if computed:
        changes |= {"answer_seconds": 0}
        usual = ComputedVerification(make_terms(**changes))
    scene = make_scene(num_owners, escrow_wei=escrow_wei, verification=verification or usual, **changes)
    numbers = range(num_owners) if real is None else real
    allowed = Policy.from_mapping(SHORT | dict(policy or {}))
    owners = {number: Owner(scene, number, folder / f"owner-{number}", allowed) for number in numbers}
    for number, stated in enumerate(examples):
        owners[number].examples = stated
    for number in range(num_owners):
        if number in owners:
            owners[number].agent().join()
        else:
            scene.join(number)
    scene.freeze_and_draw()
    return scene, owners


def lone_owner(folder: Path, **options: object) -> tuple[Scene, Owner]:
    """A drawn market with data owner 0 for real; options as for `make_owners_scene`."""
    scene, owners = make_owners_scene(folder, real=[0], **options)  # type: ignore[arg-type]
    return scene, owners[0]


def lone_task(folder: Path, **options: object) -> tuple[Scene, Owner, TaskId]:
    """`lone_owner`, and the task that is anchored."""
    scene, owner = lone_owner(folder, **options)
    return scene, owner, anchor(scene)


def assert_refused(agent: OwnerAgent, task: TaskId, reason: str, *, evaluation: bool = False) -> None:
    """The agent neither admits nor commits a task, nor its evaluation if that is meant as well."""
    for ask in (agent.admit, lambda task: agent.commit(task, update_of(0)), *([agent.admit_evaluation] if evaluation else [])):
        with pytest.raises(Refused, match=reason):
            ask(task)


def anchor(scene: Scene, parts: TaskParts = TASK) -> TaskId:
    """Anchor a task for the next round."""
    scene.ledger().anchor(parts.task_hash(scene.state.round + 1))
    return live_task(scene)


def live_task(scene: Scene) -> TaskId:
    """The live round's task."""
    state = scene.state
    return TaskId(scene.world.chain_id, scene.market.address, state.epoch, state.round, state.task_hash)


def open_with(scene: Scene, *commitments: SignedCommitment, but: Sequence[int] = ()) -> tuple[bytes, ...]:
    """Open the live round with these commitments, a made-up digest of everybody else, and without the groups of `but`.
    Returns the digests of the roster in order.
    """
    known = {commitment.owner: commitment for commitment in commitments}
    seats_without = {record.seat for record in (scene.market.owner_record(address_of(n)) for n in but)}
    groups = sum(1 << number for number, seats in enumerate(scene.market.storage.groups) if not seats_without & set(bits_of(seats)))
    state, owners = scene.state, scene.market.storage.seat_owners
    digests = tuple(
        known[owners[seat]].digest if owners[seat] in known else make_digest(seat, state.round) for seat in scene.seats_of(groups)
    )
    scene.ledger().open(state.round, groups, roster_hash(groups, digests))
    return digests


def next_epoch(scene: Scene, owners: Mapping[int, Owner]) -> None:
    """Everybody enrols again, and the next epoch is drawn."""
    for number in range(scene.num_owners):
        if number in owners:
            owners[number].agent().join()
        else:
            scene.ledger(number).join(make_mask_key(number, scene.state.epoch + 1))
    scene.freeze_and_draw()
