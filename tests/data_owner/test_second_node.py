"""Two nodes: nothing is signed and nothing leaves unless both show the same market."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from omnilytics_flwr.data_owner.second_node import SecondNode
from omnilytics_flwr.errors import OutOfTurn, Refused
from omnilytics_flwr.market.market_view import MarketState, Member
from omnilytics_flwr.market.terms import Terms
from tests.data_owner.owners import Owner, assert_refused, lone_task, open_with, update_of
from tests.oracle import MemoryLedger
from tests.support.builders import Scene, make_mask_key


class OtherNode(MemoryLedger):
    """The same market at another node, which shows whatever it is told to."""

    shown_state: Callable[[MarketState], MarketState] = staticmethod(lambda state: state)
    shown_member: Callable[[Member], Member] = staticmethod(lambda member: member)
    shown_terms: Callable[[Terms], Terms] = staticmethod(lambda terms: terms)
    confirmations = 0

    def state(self, confirmations: int = 0) -> MarketState:
        self.confirmations = confirmations
        return self.shown_state(super().state(confirmations))

    def members(self) -> tuple[Member, ...]:
        return tuple(map(self.shown_member, super().members()))

    def terms(self) -> Terms:
        return self.shown_terms(super().terms())


def other_node(scene: Scene, owner: Owner) -> tuple[OtherNode, SecondNode]:
    other = OtherNode(scene.world, scene.market.address, owner.address)
    return other, SecondNode(other, scene.terms)


def test_two_nodes_that_agree_change_nothing(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    other, second = other_node(scene, owner)
    agent = owner.agent(second=second)
    digests = open_with(scene, agent.commit(task, update_of(0)))
    assert agent.deliver(task.chain_id, task.market, task.epoch, task.round, digests).vector
    assert other.confirmations == 1, "the other node must show the opening as deep"


@pytest.mark.parametrize("name", ["task_hash", "epoch_seed"])
def test_nothing_is_signed_while_two_nodes_disagree_on_the_task(tmp_path: Path, name: str) -> None:
    scene, owner, task = lone_task(tmp_path)
    other, second = other_node(scene, owner)
    other.shown_state = lambda state: replace(state, **{name: b"\7" * 32})  # type: ignore[arg-type]
    assert_refused(owner.agent(second=second), task, f"two nodes disagree on {name.replace('_', ' ')}")
    assert not owner.journal.entries()


def test_nothing_is_signed_for_mask_keys_that_the_other_node_does_not_show(tmp_path: Path) -> None:
    """With keys of its own making in place of the peers', a node would know every mask."""
    scene, owner, task = lone_task(tmp_path)
    other, second = other_node(scene, owner)
    other.shown_member = lambda member: replace(member, mask_key=make_mask_key(member.seat, 9)) if member.owner != owner.address else member
    assert_refused(owner.agent(second=second), task, "two nodes disagree on the members .* and their mask keys")
    assert not owner.journal.entries()


def test_nothing_is_signed_under_other_terms(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    other, second = other_node(scene, owner)
    other.shown_terms = lambda terms: replace(terms, clip_nano=1)
    assert_refused(owner.agent(second=second), task, "two nodes disagree on the terms")


def test_a_node_that_is_behind_is_waited_for(tmp_path: Path) -> None:
    scene, owner, task = lone_task(tmp_path)
    before, (other, second) = replace(scene.state, round=0), other_node(scene, owner)
    other.shown_state = lambda state: before
    with pytest.raises(OutOfTurn):
        owner.agent(second=second).admit(task)
    other.shown_state = lambda state: state
    assert owner.agent(second=second).admit(task).commitment is None


@pytest.mark.parametrize(
    ("change", "error"), [({"roster_hash": b"\7" * 32}, Refused), ({"groups": 0b111}, Refused), ({"round": 2}, OutOfTurn)]
)
def test_no_vector_leaves_for_an_opening_that_the_other_node_does_not_show(
    tmp_path: Path, change: dict[str, object], error: type[Exception]
) -> None:
    scene, owner, task = lone_task(tmp_path)
    other, second = other_node(scene, owner)
    digests = open_with(scene, owner.commit(task))
    other.shown_state = lambda state: replace(state, **change)  # type: ignore[arg-type]
    with pytest.raises(error):
        owner.agent(second=second).deliver(task.chain_id, task.market, task.epoch, task.round, digests)
    other.shown_state = lambda state: state
    assert owner.agent(second=second).deliver(task.chain_id, task.market, task.epoch, task.round, digests).vector
