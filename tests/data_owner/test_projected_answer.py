"""An accused of a projected market answers on a real chain: its blobs, and with the last of them the signed projection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.crypto.projection import project, projection_seed
from omnilytics_flwr.data_owner.watcher import Watcher
from omnilytics_flwr.errors import BlobsMissing
from omnilytics_flwr.local_market import LocalMarket
from omnilytics_flwr.market.messages import Delivery, recover
from omnilytics_flwr.market.roster import bits_of, roster_hash, roster_seats
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address, Terms
from tests.support.bad_inputs import full_disk
from tests.support.builders import make_terms

WEIGHTS = 50_000
"""Of seven polynomials: an answer takes two transactions."""


@pytest.fixture
def market(tmp_path: Path) -> Iterator[LocalMarket]:
    hours = dict.fromkeys(("commit_seconds", "accuse_seconds", "answer_seconds", "prove_seconds"), 3600)
    bounds = {"weights": WEIGHTS, "update_bits": 16, "norm_bound": 2**70, "projected": True}

    def terms(verification: Address) -> Terms:
        return make_terms(verification=verification, **bounds, **hours)

    with LocalMarket(terms, num_owners=15, escrow_wei=10**6, folder=tmp_path) as market:
        yield market


@pytest.mark.parametrize("disk_is_full", [False, True])
def test_accused_of_a_projected_market_answers_with_its_delivery(
    market: LocalMarket, monkeypatch: pytest.MonkeyPatch, disk_is_full: bool
) -> None:
    """On a full disk too, where neither the projection can be journalled nor a transaction kept."""
    ledger, home, own = market.ledger, market.homes[0], market.homes[0].ledger()
    agent, seat = home.agent_for(own), ledger.owner_record(market.owners[0]).seat
    ledger.anchor(b"\5" * 32)
    state = ledger.state()
    task = TaskId(ledger.chain_id, ledger.address, state.epoch, state.round, state.task_hash)
    commitment = agent.commit(task, np.full(WEIGHTS, 0.25))
    groups = (1 << 5) - 1
    seats = roster_seats([ledger.group_seats(group) for group in bits_of(groups)])
    digests = tuple(commitment.digest if one == seat else keccak256(bytes([one])) for one in seats)
    ledger.open(1, groups, roster_hash(groups, digests))
    ledger.accuse(1, 1 << seat, digests, (commitment.signature,))
    with pytest.raises(BlobsMissing):
        ledger.answered_delivery(1, seat)

    watcher = Watcher(
        ledger=own,
        journal=home.journal(),
        signer=own.sender,
        policy=home.policy_on(own.connection),
        balance_wei=lambda: own.connection.balance_wei(own.account),
        gas_price_wei=lambda: 0,
    )
    with monkeypatch.context() as patch:
        if disk_is_full:
            patch.setattr("omnilytics_flwr.files.os.fsync", full_disk)
        watcher.look()

    assert ledger.state().answered == 1 << seat
    (entry,) = home.journal().entries()
    assert bool(entry.projected) != disk_is_full
    assert ledger.answered_vector(1, seat) == entry.vector
    answered = ledger.answered_delivery(1, seat)
    delivery = agent.deliver(task.chain_id, Address(task.market), task.epoch, task.round, digests)
    assert answered == points_digest(delivery.projected) + delivery.signature, "what it delivers is what it answers with"
    seed = projection_seed(task.settlement_context(state.epoch_seed), ledger.state().roster_hash)
    assert delivery.projected == commit(project(FieldVector.from_bytes(entry.vector, 7 * 4096), seed))
    message = Delivery(task.epoch, task.round, task.task_hash, ledger.state().roster_hash, answered[:32])
    assert recover(message.signing_hash(chain_id=task.chain_id, market=Address(task.market)), answered[32:]) == market.owners[0]
