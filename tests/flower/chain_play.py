"""A whole market on a local chain: real contracts, owner homes, mod and strategy; only the network between the nodes is not there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp.strategy import FedAvg, Result

from omnilytics_flwr.evm.anvil import DevnetOptions
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.local_market import LocalMarket
from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address, Terms
from tests.flower.fake_grid import FakeGrid
from tests.flower.killing import copy_folder
from tests.flower.play import Trainer, make_model
from tests.support.builders import make_terms

NUM_OWNERS = 15
REWARD_WEI = 1_000
NO_TASK = TaskId(1, "0x" + 40 * "0", 1, 1, bytes(32))


def small_terms(verification: Address, **changes: object) -> Terms:
    values = {"weights": 42, "update_bits": 16, "norm_bound": 2**60, "metrics": ("loss",), "commit_seconds": 3600, "reward_wei": REWARD_WEI}
    return make_terms(verification=verification, **(values | changes))


@dataclass
class ChainPlay:
    """A market that can be set back to its beginning, with the data owners' homes."""

    market: LocalMarket
    folder: Path
    kept: Path
    snapshot: str = ""
    trainers: list[Trainer] = field(default_factory=list)

    @property
    def state(self) -> MarketState:
        return self.market.ledger.state()

    def rewind(self) -> None:
        """Set chain and homes back."""
        self.market.devnet.revert(self.snapshot)
        self.snapshot = self.market.devnet.snapshot()
        copy_folder(self.kept, self.folder)

    def grid(self) -> FakeGrid:
        """Nodes that have just started."""
        homes = self.market.homes
        agents = {n: home.agent_for(ledger) for n, (home, ledger) in enumerate(zip(homes, self.market.owner_ledgers(), strict=True))}

        def agent_of(context: Context) -> Any:
            return agents[int(context.node_config["partition-id"])]

        mod = OmnilyticsMod(agent=agent_of)
        self.trainers = [Trainer(make_model(100 + place)) for place in range(NUM_OWNERS)]
        return FakeGrid({100 + place: trainer.app(mod) for place, trainer in enumerate(self.trainers)})

    def run(self, grid: FakeGrid, *, ledger: ModelOwnerLedger | None = None, rounds: int = 2, **options: Any) -> tuple[Result, Omnilytics]:
        """A model owner's process."""
        strategy = Omnilytics(FedAvg(), ledger=ledger or self.market.ledger, wait=self.wait, **options)
        return strategy.start(grid, make_model(), rounds), strategy

    def wait(self, seconds: float) -> None:
        """Let time pass on the chain."""
        self.market.devnet.increase_time(math.ceil(seconds))

    def surplus_wei(self) -> int:
        """What the market holds beyond what it owes."""
        s = self.state
        owed_wei = s.escrow_wei + s.bond_wei + s.stakes_wei + s.owed_wei + s.credits_wei + s.disputes_wei
        return self.market.ledger.connection.balance_wei(self.market.ledger.address) - owed_wei

    def claimable_wei(self) -> int:
        """What all data owners could claim now."""
        return sum(self.market.ledger.claimable_wei(owner) for owner in self.market.owners)


@contextmanager
def chain_play(folder: Path, *, chain: DevnetOptions | None = None, **term_changes: object) -> Iterator[ChainPlay]:
    """A drawn market on a chain of its own, some blocks after the draw."""
    homes = folder / "homes"

    def terms(verification: Address) -> Terms:
        return small_terms(verification, **term_changes)

    with LocalMarket(terms, num_owners=NUM_OWNERS, escrow_wei=200_000, folder=homes, chain=chain) as market:
        for home, ledger in zip(market.homes, market.owner_ledgers(), strict=True):
            home.agent_for(ledger)
            _keys_of(home.path).rounding_key(NO_TASK)  # makes the secret that updates are rounded by, the same in every run
        market.devnet.mine(4)
        copy_folder(homes, folder / "kept")
        yield ChainPlay(market, homes, folder / "kept", market.devnet.snapshot())


def _keys_of(home: Path) -> Any:
    from omnilytics_flwr.data_owner.owner_keys import OwnerKeys

    return OwnerKeys(home / "keys")
