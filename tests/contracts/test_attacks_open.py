"""Openings with anything but whole, staked groups in time: every one is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.market.refusals import (
    BadSignature,
    EpochOver,
    MarketTooFewGroups,
    MarketWrongLength,
    NotModelOwner,
    NotStaked,
    Refusal,
    TooLate,
    Underfunded,
    UnknownGroup,
    WrongRound,
    WrongStage,
)
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import make_task

from .anchored import ALL, OWNERS, Anchored, put
from .real import RealMarket

Facts = Callable[[Anchored], tuple[object, ...]]
ROSTERS: dict[str, tuple[Callable[[Anchored], object], type[Refusal], Facts]] = {
    "a digest left out": (lambda a: a.open(digests=a.digests[:-1]), MarketWrongLength, lambda a: (15, 16)),
    "a digest added": (lambda a: a.open(digests=(*a.digests, bytes(32))), MarketWrongLength, lambda a: (17, 16)),
    "no digests": (lambda a: a.open(digests=()), MarketWrongLength, lambda a: (0, 16)),
    "a signature left out": (lambda a: a.open(signatures=a.signatures[:-1]), MarketWrongLength, lambda a: (960, 1024)),
    "a signature added": (
        lambda a: a.open(signatures=(*a.signatures, a.signatures[0])),
        MarketWrongLength,
        lambda a: (1088, 1024),
    ),
    "a signature cut": (
        lambda a: a.open(signatures=put(a.signatures, 15, a.signatures[15][:-1])),
        MarketWrongLength,
        lambda a: (1023, 1024),
    ),
    "a signature of 65 bytes": (
        lambda a: a.open(signatures=put(a.signatures, 15, a.signatures[15] + b"\x1b")),
        MarketWrongLength,
        lambda a: (1025, 1024),
    ),
    "no signatures": (lambda a: a.open(signatures=()), MarketWrongLength, lambda a: (0, 1024)),
    "a member of a group missing": (
        lambda a: a.open(digests=a.digests[1:], signatures=a.signatures[1:]),
        MarketWrongLength,
        lambda a: (15, 16),
    ),
    "a member twice": (
        lambda a: a.open(digests=put(a.digests, 4, a.digests[5]), signatures=put(a.signatures, 4, a.signatures[5])),
        BadSignature,
        lambda a: (a.seats[4], a.owners[4]),
    ),
    "members swapped in a group": (
        lambda a: a.open(
            digests=put(put(a.digests, 4, a.digests[5]), 5, a.digests[4]),
            signatures=put(put(a.signatures, 4, a.signatures[5]), 5, a.signatures[4]),
        ),
        BadSignature,
        lambda a: (a.seats[4], a.owners[4]),
    ),
    "groups swapped": (
        lambda a: a.open(
            digests=a.digests[:4] + a.digests[7:10] + a.digests[4:7] + a.digests[10:],
            signatures=a.signatures[:4] + a.signatures[7:10] + a.signatures[4:7] + a.signatures[10:],
        ),
        BadSignature,
        lambda a: (a.seats[4], a.owners[4]),
    ),
    "digests swapped": (
        lambda a: a.open(digests=put(put(a.digests, 0, a.digests[1]), 1, a.digests[0])),
        BadSignature,
        lambda a: (a.seats[0], a.owners[0]),
    ),
    "a digest forged": (
        lambda a: a.open(digests=put(a.digests, 15, bytes(32))),
        BadSignature,
        lambda a: (a.seats[15], a.owners[15]),
    ),
    "an unknown group": (lambda a: a.open(groups=ALL | 1 << 5), UnknownGroup, lambda a: (ALL | 1 << 5, ALL)),
    "group 255": (lambda a: a.open(groups=ALL | 1 << 255), UnknownGroup, lambda a: (ALL | 1 << 255, ALL)),
    "all bits": (lambda a: a.open(groups=2**256 - 1), UnknownGroup, lambda a: (2**256 - 1, ALL)),
    "a group too few": (
        lambda a: a.open(groups=0b11110, digests=a.digests[4:], signatures=a.signatures[4:]),
        MarketTooFewGroups,
        lambda a: (4, 5),
    ),
    "no group": (lambda a: a.open(groups=0, digests=(), signatures=()), MarketTooFewGroups, lambda a: (0, 5)),
    "the round before": (lambda a: a.open(round_number=0), WrongRound, lambda a: (0, 1)),
    "the next round": (lambda a: a.open(round_number=2), WrongRound, lambda a: (2, 1)),
    "sent by a data owner": (
        lambda a: a.market.data[0].open(1, ALL, a.digests, a.signatures),
        NotModelOwner,
        lambda a: (a.market.data[0].account,),
    ),
}


@pytest.mark.parametrize(("attack", "refusal", "facts"), ROSTERS.values(), ids=ROSTERS.keys())
def test_open_with_a_wrong_roster_is_refused(
    anchored: Anchored, attack: Callable[[Anchored], object], refusal: type[Refusal], facts: Facts
) -> None:
    with pytest.raises(refusal) as found:
        attack(anchored)

    assert found.value.args == facts(anchored)
    assert anchored.market.owner.state().stage is Stage.ANCHORED


def test_open_with_everybodys_commitment_is_accepted(anchored: Anchored) -> None:
    anchored.open()

    state = anchored.market.owner.state()
    assert (state.stage, state.roster_hash) == (Stage.OPEN, keccak256(b"".join(anchored.digests)))


def test_open_twice_is_refused(anchored: Anchored) -> None:
    anchored.open()

    with pytest.raises(WrongStage) as refusal:
        anchored.open()

    assert refusal.value.args == (Stage.OPEN, 1 << Stage.ANCHORED)


def test_open_until_the_deadline_only(anchored: Anchored, devnet: Devnet) -> None:
    name = devnet.snapshot()
    devnet.set_next_timestamp(anchored.open_by)
    anchored.open()
    devnet.revert(name)
    devnet.set_next_timestamp(anchored.open_by + 1)

    with pytest.raises(TooLate) as refusal:
        anchored.open()

    assert refusal.value.args == (anchored.open_by + 1, anchored.open_by)


def test_open_with_old_commitments_after_anchoring_again_is_refused(anchored: Anchored) -> None:
    anchored.market.owner.anchor(anchored.task.task_hash)

    with pytest.raises(BadSignature) as refusal:
        anchored.open(round_number=2)

    assert refusal.value.args == (anchored.seats[0], anchored.owners[0])


def test_open_with_a_departed_member_is_refused(drawn: RealMarket, devnet: Devnet) -> None:
    gone = drawn.data[2]
    gone.leave()
    devnet.set_next_timestamp(gone.owner_record(gone.account).leave_at)
    gone.depart()
    drawn.owner.anchor(make_task(1))
    digests = (bytes(32),) * OWNERS

    with pytest.raises(NotStaked) as refusal:
        drawn.owner.open(1, ALL, digests, drawn.commitments(ALL, digests))

    assert refusal.value.args == (1 << 2,)


def test_open_needs_all_rewards_and_the_bond_and_rounds_left(devnet: Devnet, deployment: Deployment) -> None:
    market = RealMarket.create(connect(devnet.url), deployment, 15, rounds_per_epoch=1)
    terms, digests = market.owner.terms(), (bytes(32),) * 15
    market.join_and_draw(escrow_wei=15 * terms.reward_wei + terms.bond_wei - 1)
    market.owner.anchor(make_task(1))
    signatures = market.commitments(ALL, digests)

    with pytest.raises(Underfunded) as underfunded:
        market.owner.open(1, ALL, digests, signatures)
    market.data[0].fund(1)
    market.owner.open(1, ALL, digests, signatures)

    assert underfunded.value.args == (25_006, 25_007)
    devnet.set_next_timestamp(market.owner.state().settle_by + 1)
    market.data[0].timeout(1)
    market.owner.anchor(make_task(2))
    with pytest.raises(EpochOver) as over:
        market.owner.open(2, ALL, digests, market.commitments(ALL, digests))
    assert over.value.args == (1,)
