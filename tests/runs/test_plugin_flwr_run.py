"""A patched app by ``flwr run``, with overrides of its run config, in processes that Flower starts.

The SuperLink has the market's environment and no option of its own, as one that ``flwr run`` starts.
"""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest

from omnilytics_flwr import LocalMarket
from runs.plugin.flower import run_app
from tests.runs.plugin_app import copy_app

OWNERS = 15

pytestmark = [pytest.mark.slow, pytest.mark.first]


@pytest.mark.timeout(600)
def test_overrides_reach_both_sides_and_the_round_is_paid(tmp_path: Path) -> None:
    app, work = copy_app("sklearn", tmp_path / "app"), tmp_path / "work"
    work.mkdir()
    overrides = {"num-server-rounds": 1, "strength": 4.0}
    model = {"weights": np.zeros(15)}
    metrics = ("accuracy", "num-examples")
    with LocalMarket.for_model(model, num_owners=OWNERS, group_size=3, clip=4.0, longest_mean=1e4, rounds=1, metrics=metrics) as market:
        printed = run_app(app, work, supernodes=OWNERS, run_config=overrides, environment=market.environment)
        assert market.ledger.paid_seats(1).bit_count() in (12, 15), printed[-2000:]
        assert market.ledger.state().round == 2, "one round, and the task of its evaluation"
    assert joblib.load(work / "logreg_model.pkl").C == pytest.approx(1 / 4.0)
    assert "'accuracy'" in printed
