"""A patched app by ``flwr run``, with overrides of its run config, in processes that Flower starts."""

from __future__ import annotations

from pathlib import Path

import joblib
import pytest

from omnilytics_flwr import LocalMarket, Terms
from omnilytics_flwr.market.terms import Address
from runs.plugin.flower import run_app
from tests.runs.plugin_app import copy_app

OWNERS = 15

pytestmark = pytest.mark.first


def terms(verification: Address) -> Terms:
    return Terms(
        verification=verification,
        reward_wei=1_000,
        stake_wei=4_000,
        bond_wei=10_000,
        most_owners=OWNERS,
        group_size=3,
        weights=15,
        clip_nano=4 * 10**9,
        norm_bound=2**60,
        rounds_per_epoch=1,
        draw_delay_blocks=2,
        metrics=("accuracy", "num-examples"),
    )


@pytest.mark.timeout(600)
def test_overrides_reach_both_sides_and_the_round_is_paid(tmp_path: Path) -> None:
    app, work = copy_app("sklearn", tmp_path / "app"), tmp_path / "work"
    work.mkdir()
    overrides = {"num-server-rounds": 1, "strength": 4.0}
    with LocalMarket(terms, num_owners=OWNERS, escrow_wei=OWNERS * 1_000 + 10_000) as market:
        printed = run_app(app, work, supernodes=OWNERS, run_config=overrides, environment=market.environment)
        assert market.ledger.paid_seats(1).bit_count() == 12, printed[-2000:]
        assert market.ledger.state().round == 2, "one round, and the task of its evaluation"
    assert joblib.load(work / "logreg_model.pkl").C == pytest.approx(1 / 4.0)
    assert "'accuracy'" in printed
