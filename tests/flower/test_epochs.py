"""A market that is to last: epoch after epoch on a real chain, with nobody typing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flwr.serverapp.strategy import FedAvg
from msgspec import structs

from omnilytics_flwr.data_owner.watcher import Watcher
from omnilytics_flwr.flower.strategy import Omnilytics
from tests.flower.clients import Trainer, make_model
from tests.flower.markets import NUM_OWNERS, chain_run, nodes

GROUPS = 2
"""As many groups as the policy lets a data set be summed with."""


def test_epochs_go_by_with_nobody_typing_as_far_as_the_policies_allow(tmp_path: Path) -> None:
    with chain_run(tmp_path, rounds_per_epoch=1) as run:
        homes = [replace(home, policy=structs.replace(home.policy, most_peer_sets=GROUPS)) for home in run.market.homes]
        agents = [home.agent_for(ledger) for home, ledger in zip(homes, run.market.owner_ledgers(), strict=True)]
        watchers = [
            Watcher(
                ledger=agent.ledger,
                journal=home.journal(),
                signer=home.wallet(run.market.ledger.connection),
                policy=home.policy.for_chain(is_local=True),
                balance_wei=lambda: 10**18,
                gas_price_wei=lambda: 0,
                enrol_again=agent.enrol_again,
            )
            for home, agent in zip(homes, agents, strict=True)
        ]

        def wait(seconds: float) -> None:
            run.wait(seconds)
            for watcher in watchers:
                watcher.look()

        grid = nodes(agents, [Trainer(make_model(100 + place)) for place in range(NUM_OWNERS)])
        strategy = Omnilytics(FedAvg(), ledger=run.market.ledger, enrol_seconds=60.0, wait=wait)
        strategy.start(grid, make_model(), 3)
        assert [report.settled for report in strategy.reports] == [True, True]
        assert run.state.epoch == 2, "one for each group that the policies allow"
        for home, agent in zip(homes, agents, strict=True):
            # The draw may have put the same three together twice: then they have been in one group, and may be in another.
            sets = home.journal().peer_sets(home.journal().entries())
            is_enrolled = bool(run.state.enrolled >> agent.ledger.owner_record(agent.ledger.account).seat & 1)
            assert is_enrolled == (len(sets) < GROUPS)
