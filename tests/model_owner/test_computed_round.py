"""Rounds of a computed market: keeper and agents work by its scheme, and need to know nothing else of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.crypto.computed import FAR
from omnilytics_flwr.crypto.field import R
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.data_owner.owner_agent import MaskedUpdate
from omnilytics_flwr.errors import NotCanonical, ProtocolError, WireError
from omnilytics_flwr.market.messages import sign_commitment
from omnilytics_flwr.model_owner.run_directory import RunDirectory
from tests.data_owner.owners import WEIGHTS, make_wallet

from .conftest import NEXT, Play, addresses, make_play


@pytest.fixture
def computed(tmp_path: Path) -> Play:
    return make_play(tmp_path, computed=True, policy={"public-sums": True}, outlier_percent=125)


def test_round_is_learnt_from_as_in_any_other_market(computed: Play) -> None:
    report, decision, task = computed.run(NEXT)

    assert report.settled
    assert len(report.accepted) == 5
    computed.check_learnt(report, decision, task)
    # 12 weights to an element.
    assert len(decision.settlement) == 15 * 32 * -(-WEIGHTS // 12)


def test_missing_member_costs_its_group_nothing_and_the_settlement_shows_its_digests(computed: Play) -> None:
    computed.lost = {4}

    report, decision, task = computed.run()

    assert report.waived == (computed.position_of(4),)
    computed.check_learnt(report, decision, task)
    assert len(decision.settlement) == 12 * 32 * 4 + 3 * 32


@pytest.mark.parametrize("beyond", [0, 1])
def test_group_out_of_range_is_unpaid_without_having_to_be_waived(computed: Play, beyond: int) -> None:
    """One unit too many in one weight of one member: the sum is out of range only if the others are at the end of theirs."""
    bad = computed.groups()[2]
    for number in bad:
        computed.units[number] = np.full(48, 32767)
    computed.units[bad[0]][7] += beyond

    report, decision, _ = computed.run()

    assert (2 in report.ineligible, decision.distances[2] == FAR) == (bool(beyond), bool(beyond))
    assert report.waived == ()
    assert 2 not in report.learnt
    assert not {*report.paid} & addresses(bad)


def tampered(delivery: MaskedUpdate, what: str) -> MaskedUpdate:
    """A delivery with something wrong in it."""
    vector = delivery.vector
    changed = {
        "another vector": replace(delivery, vector=bytes(32) + vector[32:]),
        "the same modulo r": replace(delivery, vector=(int.from_bytes(vector[:32], "big") + R).to_bytes(32, "big") + vector[32:]),
        "points": replace(delivery, points=bytes(96)),
        "shorter": replace(delivery, vector=vector[:-32]),
    }
    return changed[what]


@pytest.mark.parametrize("what", ["another vector", "the same modulo r", "points", "shorter"])
def test_delivery_that_is_not_what_was_committed_is_refused(computed: Play, what: str) -> None:
    task = computed.anchor_and_commit()
    for delivery in computed.deliveries(task, computed.keeper.open()).values():
        with pytest.raises((ProtocolError, WireError)):
            computed.add(tampered(delivery, what))
        computed.add(delivery)

    assert not computed.keeper.live.missing()


def test_commitment_to_a_word_beyond_the_order_cannot_be_delivered(computed: Play) -> None:
    """The contract would take it as its remainder, but nobody has to."""
    task = computed.anchor_and_commit(but={0})
    _, delivery = computed.owners[0].commit_units(task, np.zeros(48, dtype=np.int64))
    vector = b"\xff" * 32 + delivery.vector[32:]
    signature = sign_commitment(make_wallet(0), task, keccak256(vector), computed.scene.state.open_by)
    computed.keeper.add_commitment(delivery.owner, keccak256(vector), signature)
    computed.keeper.open()

    with pytest.raises(NotCanonical):
        computed.add(replace(delivery, vector=vector))


def test_keeper_of_a_new_process_goes_on_with_its_deliveries(computed: Play, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    computed.keep(directory=directory)
    task = computed.anchor_and_commit()
    computed.open_and_deliver(task)
    deliveries = dict(computed.keeper.live.deliveries)
    computed.keep(directory=RunDirectory(tmp_path / "run"))

    computed.keeper.resume()

    assert computed.keeper.live.deliveries == deliveries
    report = computed.keeper.settle(computed.keeper.prove(), None)
    assert report.settled
