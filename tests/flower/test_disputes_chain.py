"""A data owner that never delivers, on a real chain: accused, it answers with blobs, or its stake pays its group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.data_owner.watcher import Watcher
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.flower.clients import lose, make_model
from tests.flower.markets import FIRST_NODE, ChainRun, chain_run

CULPRIT = 6
FEE_WEI = 10**9


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainRun]:
    with chain_run(tmp_path_factory.mktemp("chain"), accuse_fee_wei=FEE_WEI) as made:
        yield made


def one_round(run: ChainRun, run_dir: Path, *, watched: bool) -> RoundReport:
    """A round in which no request for its vector reaches the culprit, whose watcher looks at the chain or does not."""
    run.rewind()
    grid = run.grid()
    grid.on_request = lose("deliver", FIRST_NODE + CULPRIT)
    home, ledger = run.market.homes[CULPRIT], run.market.owner_ledgers()[CULPRIT]
    watcher = Watcher(
        ledger=ledger,
        journal=home.journal(),
        signer=ledger.sender,
        policy=home.policy.for_chain(is_local=True),
        balance_wei=lambda: ledger.connection.balance_wei(ledger.account),
        gas_price_wei=lambda: 0,
    )

    def wait(seconds: float) -> None:
        run.wait(seconds)
        if watched:
            watcher.look()

    strategy = Omnilytics(FedAvg(), ledger=run.market.ledger, missing="accuse", run_dir=run_dir, wait=wait)
    strategy.start(grid, make_model(), 1)
    (report,) = strategy.reports
    assert report.settled
    assert report.accused == (ledger.account,)
    assert run.surplus_wei() == 0
    assert run.state.owed_wei == run.claimable_wei()
    return report


def test_accused_answers_with_blobs_that_the_model_owner_settles_with(run: ChainRun, tmp_path: Path) -> None:
    account = run.market.owners[CULPRIT]
    report = one_round(run, tmp_path, watched=True)
    assert report.answered == (account,)
    assert (report.waived, report.void) == ((), ())
    position = next(place for place, group in enumerate(report.roster) if account in group)
    assert position in (*report.accepted, *report.dropped), "its vector takes part, though no message ever brought it"
    assert run.state.slashed == 0


def test_accused_that_is_silent_loses_its_stake_to_its_group(run: ChainRun, tmp_path: Path) -> None:
    account = run.market.owners[CULPRIT]
    report = one_round(run, tmp_path, watched=False)
    position = next(place for place, group in enumerate(report.roster) if account in group)
    assert (report.void, report.waived, report.answered) == ((position,), (), ())
    assert set(report.roster[position]) - {account} <= set(report.paid)
    assert account not in report.paid
    assert run.state.slashed == 1 << run.market.ledger.owner_record(account).seat
