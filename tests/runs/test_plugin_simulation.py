"""A local market tells apps where it is, and leaves the environment as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping

import flwr.simulation
import pytest

from omnilytics_flwr import LocalMarket, open_market
from omnilytics_flwr.local_market import HOME_VARIABLE
from tests.flower.test_evm import NUM_OWNERS, small_terms


def test_apps_find_the_market_while_it_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNILYTICS_KEYSTORE", "/somebody/elses")
    monkeypatch.setenv("OMNILYTICS_MARKET", "0x12")
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    before, found = dict(os.environ), []
    with LocalMarket(small_terms, num_owners=NUM_OWNERS, escrow_wei=1) as market:

        def run_simulation(server_app: object, client_app: object, num_supernodes: int, backend_config: Mapping[str, object]) -> None:
            found.append((open_market().address, open_market().account, os.environ[HOME_VARIABLE], num_supernodes))

        monkeypatch.setattr(flwr.simulation, "run_simulation", run_simulation)
        market.run(None, None)  # type: ignore[arg-type]
        home = str(market.homes[0].path.parent / "owner-{partition-id}")
        assert found == [(market.ledger.address, market.ledger.account, home, NUM_OWNERS)]
    assert dict(os.environ) == before
