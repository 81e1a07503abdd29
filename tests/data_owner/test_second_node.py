"""Two nodes: nothing is signed and nothing leaves unless both show the same market."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.data_owner.second_node import SecondNode
from omnilytics_flwr.data_owner.watcher import Watcher
from omnilytics_flwr.errors import OutOfTurn, Refused, UnknownMarket, Unreachable
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.market_view import Accusation, MarketState, Member
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Terms
from tests.data_owner.owners import TASK, Owner, assert_refused, live_task, lone_owner, lone_task, make_wallet, open_with, update_of
from tests.oracle import MemoryLedger
from tests.support.builders import DictatedVerification, Scene, make_mask_key


class OtherNode(MemoryLedger):
    """The same market at another node, which shows whatever it is told to."""

    shown_state: Callable[[MarketState], MarketState] = staticmethod(lambda state: state)
    shown_member: Callable[[Member], Member] = staticmethod(lambda member: member)
    shown_terms: Callable[[Terms], Terms] = staticmethod(lambda terms: terms)
    shown_paid: Callable[[int], int] = staticmethod(lambda paid: paid)
    shown_bond: Callable[[int], int] = staticmethod(lambda bond: bond)
    error: Exception | None = None
    confirmations = 0

    def state(self, confirmations: int = 0) -> MarketState:
        if self.error is not None:
            raise self.error
        self.confirmations = confirmations
        return self.shown_state(super().state(confirmations))

    def members(self) -> tuple[Member, ...]:
        return tuple(map(self.shown_member, super().members()))

    def terms(self) -> Terms:
        return self.shown_terms(super().terms())

    def paid_seats(self, round_number: int) -> int:
        return self.shown_paid(super().paid_seats(round_number))

    def bond_share_wei(self, round_number: int) -> int:
        return self.shown_bond(super().bond_share_wei(round_number))


def other_node(scene: Scene, owner: Owner) -> tuple[OtherNode, SecondNode]:
    other = OtherNode(scene.world, scene.market.address, owner.address)
    return other, SecondNode(lambda: other, scene.terms)


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


@pytest.mark.parametrize("shown", [{"mask_key": make_mask_key(0, 9)}, {"examples": 5}], ids=["mask keys", "examples"])
def test_nothing_is_signed_for_peers_that_the_other_node_does_not_show(tmp_path: Path, shown: dict[str, Any]) -> None:
    """With keys of its own making in place of the peers', a node would know every mask; with other examples, change one member's share."""
    scene, owner, task = lone_task(tmp_path)
    other, second = other_node(scene, owner)
    other.shown_member = lambda member: replace(member, **shown) if member.owner != owner.address else member
    assert_refused(owner.agent(second=second), task, "two nodes disagree on the members .*, their mask keys and their examples")
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


def test_no_stake_is_paid_under_terms_that_the_other_node_does_not_show(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path)
    other, second = other_node(scene, owner)
    other.shown_terms = lambda terms: replace(terms, clip_nano=1)
    before = scene.state.enrolled
    with pytest.raises(Refused, match="two nodes disagree on the terms"):
        owner.agent(second=second).join()
    assert scene.state.enrolled == before


def test_no_metrics_leave_after_a_settlement_that_the_other_node_does_not_show(tmp_path: Path) -> None:
    scene, owner = lone_owner(tmp_path, verification=DictatedVerification())
    scene.open()
    scene.settle(next_task=TASK.task_hash(2))
    other, second = other_node(scene, owner)
    agent, task = owner.agent(second=second), live_task(scene)
    for name, shown in (("shown_paid", 0), ("shown_bond", 1)):
        honest = getattr(other, name)
        setattr(other, name, lambda _, shown=shown: shown)
        with pytest.raises(Refused, match="two nodes disagree on what round 1 paid"):
            agent.admit_evaluation(task)
        setattr(other, name, honest)
    other.shown_state = lambda state: replace(state, task_hash=b"\7" * 32)
    with pytest.raises(Refused, match="two nodes disagree on task hash"):
        agent.admit_evaluation(task)
    other.shown_state = lambda state: state
    assert agent.admit_evaluation(task) == scene.terms.metrics


class Bribed(OtherNode):
    """A first node that shows an open round with an accusation of this data owner, and keeps what is sent for it."""

    digest = bytes(32)
    published: tuple[bytes, ...] = ()

    def state(self, confirmations: int = 0) -> MarketState:
        state, seat = super().state(confirmations), self.owner_record(self.account).seat
        hour = self.now() + 3600
        return replace(state, stage=Stage.OPEN, roster_hash=b"\7" * 32, groups=0b11111, settle_by=hour, answer_by=hour, accused=1 << seat)

    def accusation(self, seat: int) -> Accusation:
        return Accusation(self.digest, 0, len(self.published))

    def answer(self, round_number: int, seat: int, points: bytes, first: int, blobs: tuple[bytes, ...], delivery: bytes = b"") -> Receipt:
        self.published += blobs
        return Receipt("answer")


def watch(owner: Owner, ledger: MemoryLedger, second: SecondNode | None) -> None:
    """One look of the data owner's watcher."""
    Watcher(
        ledger=ledger,
        journal=owner.journal,
        signer=make_wallet(owner.number),
        policy=Policy(),
        balance_wei=lambda: 10**18,
        gas_price_wei=lambda: 0,
        second=second,
    ).look()


@pytest.mark.parametrize(
    ("error", "leaves"),
    [(None, False), (UnknownMarket("no market there"), False), (Unreachable("down"), True)],
)
def test_no_vector_is_published_for_a_made_up_accusation_that_the_other_node_answers_there_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception | None, leaves: bool
) -> None:
    """While the other node is down, the stake comes first."""
    scene, owner, task = lone_task(tmp_path)
    bribed = Bribed(scene.world, scene.market.address, owner.address)
    bribed.digest = owner.commit(task).digest
    other, second = other_node(scene, owner)
    other.error = error
    watch(owner, bribed, second)
    assert bool(bribed.published) is leaves
    assert ("answered all the same" in caplog.text) is leaves
    assert ("failed to answer" in caplog.text) is not leaves


@pytest.mark.parametrize("name", ["roster_hash", "answer_by", "accused", "digest"])
def test_accusation_is_answered_once_both_nodes_show_it(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    scene, owner, task = lone_task(tmp_path, verification=DictatedVerification())
    commitment, (other, second) = owner.commit(task), other_node(scene, owner)
    digests, seat = open_with(scene, commitment), scene.market.owner_record(owner.address).seat
    scene.ledger().accuse(1, 1 << seat, digests, (commitment.signature,))
    if name == "digest":
        other.accusation = lambda seat: Accusation(b"\7" * 32, 0, 0)  # type: ignore[method-assign]
    else:
        lie: object = b"\7" * 32 if name == "roster_hash" else 0
        other.shown_state = lambda state: replace(state, **{name: lie})  # type: ignore[arg-type]
    own = scene.ledger(owner.number)
    watch(owner, own, second)
    assert not scene.state.answered
    assert "two nodes disagree on" in caplog.text
    watch(owner, own, other_node(scene, owner)[1])
    assert scene.state.answered == 1 << seat


def test_accusation_that_the_first_node_hides_is_told_to_the_operator(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene, owner, task = lone_task(tmp_path, verification=DictatedVerification())
    commitment = owner.commit(task)
    digests, seat = open_with(scene, commitment), scene.market.owner_record(owner.address).seat
    scene.ledger().accuse(1, 1 << seat, digests, (commitment.signature,))
    first = OtherNode(scene.world, scene.market.address, owner.address)
    first.shown_state = lambda state: replace(state, accused=0, answer_by=0)
    with caplog.at_level(logging.ERROR):
        watch(owner, first, other_node(scene, owner)[1])
        assert f"seat {seat} is accused in round 1, which the second node shows and the first does not" in caplog.text
        caplog.clear()
        first.error = Unreachable("down")
        watch(owner, first, other_node(scene, owner)[1])
        assert "the second node shows and the first does not" in caplog.text
        caplog.clear()
        watch(owner, scene.ledger(owner.number), other_node(scene, owner)[1])
    assert "second node" not in caplog.text
    assert scene.state.answered == 1 << seat
