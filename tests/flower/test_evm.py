"""The same strategy and mod on a real chain, with agents from owner homes."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import ArrayRecord
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.flower.mod import HOME_VARIABLE, omnilytics_mod
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.local_market import LocalMarket
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import Address, Terms
from tests.flower.clients import FakeGrid, Trainer, arrays_of, make_model, step_towards
from tests.flower.markets import assert_close
from tests.support.builders import make_terms

NUM_OWNERS = 15


def small_terms(verification: Address) -> Terms:
    return make_terms(verification=verification, weights=42, update_bits=16, norm_bound=2**60, metrics=("loss",), commit_seconds=3600)


def test_two_rounds_settle_on_a_chain_and_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalMarket(small_terms, num_owners=NUM_OWNERS, escrow_wei=100_000) as market:
        folder = market.homes[0].path.parent
        monkeypatch.setenv(HOME_VARIABLE, str(folder / "owner-{partition-id}"))
        trainers = [Trainer(make_model(100 + place)) for place in range(NUM_OWNERS)]
        grid = FakeGrid({100 + place: trainer.app(omnilytics_mod) for place, trainer in enumerate(trainers)})
        strategy = Omnilytics(FedAvg(), ledger=market.ledger)
        models: list[ArrayRecord] = []
        result = strategy.start(grid, make_model(), 2, evaluate_fn=lambda number, arrays: models.append(arrays))

        assert [report.settled for report in strategy.reports] == [True, True]
        events = [[receipt.event for receipt in report.receipts] for report in strategy.reports]
        assert events == [["anchor", "open", "settle"], ["open", "settle"]]
        assert list(result.evaluate_metrics_clientapp) == [1, 2]
        for before, after, report in zip(models, models[1:], strategy.reports, strict=False):
            accepted = {owner for position in report.accepted for owner in report.roster[position]}
            assert len(accepted) == 12
            assert set(report.paid) == accepted
            places = [place for place, owner in enumerate(market.owners) if owner in accepted]
            trained = [arrays_of(step_towards(trainers[place].target, before)) for place in places]
            assert_close(after, {n: np.mean([t[n] for t in trained], axis=0, dtype=np.float64) for n in before})

        state = market.ledger.state()
        assert state.stage is Stage.ANCHORED
        assert state.owed_wei == 2 * 12 * market.ledger.terms().reward_wei
        assert sum(market.ledger.claimable_wei(owner) for owner in market.owners) == state.owed_wei
        assert all({work["work"] for work in home.work()} == {"mask", "commit"} for home in market.homes)
        assert all(len(home.work()) == 4 for home in market.homes)
    assert not folder.exists(), "the homes hold secrets of this run's masks"
