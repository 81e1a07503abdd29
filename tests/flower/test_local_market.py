"""Strategy and mod on a local chain, with agents from owner homes, in a market whose terms fit the model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flwr.simulation
import numpy as np
import pytest
import ray
from flwr.app import ArrayRecord
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr import LocalMarket, Omnilytics, Stage, omnilytics_mod, open_market
from omnilytics_flwr.audit.auditor import Auditor
from omnilytics_flwr.chain.history_reader import read_history, verification_of
from omnilytics_flwr.errors import ProtocolError, TermsError
from omnilytics_flwr.flower.mod import HOME_VARIABLE
from tests.flower.clients import FakeGrid, Trainer, arrays_of, make_model, step_towards
from tests.flower.markets import accepted_owners, assert_close, chain_run

NUM_OWNERS = 15


def small_market(rounds: int) -> LocalMarket:
    return LocalMarket.for_model(make_model(), num_owners=NUM_OWNERS, group_size=3, clip=1.0, rounds=rounds, metrics=["loss"])


def test_two_rounds_settle_on_a_chain_and_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    with small_market(2) as market:
        terms, folder = market.ledger.terms(), market.homes[0].path.parent
        assert (terms.weights, terms.reward_wei, terms.rounds_per_epoch) == (42, 10**15, 2)
        assert market.ledger.state().escrow_wei == 2 * NUM_OWNERS * 10**15 + terms.bond_wei
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
            assert len(accepted) in (12, 15), "one group goes unpaid, if it lies far out"
            assert set(report.paid) == accepted
            places = [place for place, owner in enumerate(market.owners) if owner in accepted]
            trained = [arrays_of(step_towards(trainers[place].target, before)) for place in places]
            assert_close(after, {n: np.mean([t[n] for t in trained], axis=0, dtype=np.float64) for n in before})

        state = market.ledger.state()
        assert state.stage is Stage.ANCHORED
        assert state.owed_wei == sum(len(report.paid) for report in strategy.reports) * terms.reward_wei
        assert sum(market.ledger.claimable_wei(owner) for owner in market.owners) == state.owed_wei
        steps = ["quantise", "mask", "commit", "journal", "sign", "journal"]
        assert all([work["work"] for work in home.work()] == steps * 2 for home in market.homes)
    assert not folder.exists(), "the homes hold secrets of this run's masks"


@pytest.mark.parametrize("changes", [{"projected": True}, {"computed": True, "answer_seconds": 0}], ids=["projected", "computed"])
def test_other_markets_settle_on_a_chain_learn_exact_sums_and_pay(tmp_path: Path, changes: dict[str, Any]) -> None:
    with chain_run(tmp_path, **changes) as run:
        result, strategy = run.start(run.grid(), rounds=1)
        (report,) = strategy.reports
        accepted = accepted_owners(report)
        assert (report.settled, len(accepted), report.learnt) == (True, 12, report.accepted)
        assert set(report.paid) == set(accepted)
        trained = [
            arrays_of(step_towards(trainer.target, make_model()))
            for trainer, owner in zip(run.trainers, run.market.owners, strict=True)
            if owner in accepted
        ]
        assert_close(result.arrays, {n: np.mean([t[n] for t in trained], axis=0, dtype=np.float64) for n in make_model()})
        assert run.claimable_wei() == 12 * run.market.ledger.terms().reward_wei
        assert run.surplus_wei() == 0
        audit = Auditor(read_history(run.market.ledger), verification_of(run.market.ledger)).run()
        assert (audit.finding, audit.unseen, audit.settlements) == (None, (), 1)


def test_apps_find_the_market_while_it_runs_them_and_the_environment_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNILYTICS_KEYSTORE", "/somebody/elses")
    monkeypatch.setenv("OMNILYTICS_MARKET", "0x12")
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    before, found = dict(os.environ), []
    resources: list[object] = []
    with small_market(1) as market:

        def run_simulation(server_app: object, client_app: object, num_supernodes: int, backend_config: Mapping[str, object]) -> None:
            found.append((open_market().address, open_market().account, os.environ[HOME_VARIABLE], num_supernodes))
            resources.append(backend_config["client_resources"])

        monkeypatch.setattr(flwr.simulation, "run_simulation", run_simulation)
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": 1.0})
        market.run(None, None)  # type: ignore[arg-type]
        market.run(None, None, workers=1, client_resources={"num_cpus": 2, "num_gpus": 0.5})  # type: ignore[arg-type]
        with pytest.raises(ProtocolError, match="need 2, and Ray finds 1"):
            market.run(None, None, client_resources={"num_gpus": 1})  # type: ignore[arg-type]
        home = str(market.homes[0].path.parent / "owner-{partition-id}")
        assert found == 2 * [(market.ledger.address, market.ledger.account, home, NUM_OWNERS)]
        assert resources == [{"num_cpus": 1, "num_gpus": 0.5}, {"num_cpus": 2, "num_gpus": 0.5}]
    assert dict(os.environ) == before


def test_examples_are_one_number_for_each_data_owner() -> None:
    for examples, said in (([1, 2], "2 numbers for 15"), ([2**32] * 15, "from 0 to 4294967295"), ([1.5] * 15, "expected whole numbers")):
        with pytest.raises(TermsError, match=said):
            LocalMarket.for_model({"w": np.zeros(100)}, num_owners=15, examples=examples)  # type: ignore[arg-type]
