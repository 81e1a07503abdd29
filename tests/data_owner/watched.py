"""A data owner's watcher in a market in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.data_owner.watcher import Watcher
from omnilytics_flwr.market.roster import bitmap_of
from tests.data_owner.owners import Owner, anchor, make_owners_scene, open_with
from tests.oracle import MemoryLedger
from tests.support.builders import DictatedVerification, Scene

WEIGHTS = 60_000
"""Eight polynomials: an answer takes two transactions."""
FEE_WEI = 77
WIDE: dict[str, object] = {"weights": WEIGHTS, "answer_seconds": 600, "prove_seconds": 300, "accuse_fee_wei": FEE_WEI}


@dataclass
class Watched:
    """A market with data owner 0 for real, and what its watcher works with."""

    scene: Scene
    owner: Owner
    digests: tuple[bytes, ...] = ()

    @property
    def seat(self) -> int:
        return self.scene.market.owner_record(self.owner.address).seat

    @property
    def balance_wei(self) -> int:
        return self.scene.world.balances[self.owner.address]

    def watcher(self, ledger: MemoryLedger | None = None, **policy: object) -> Watcher:
        """A new watcher, as a new process would have it."""
        return Watcher(
            ledger=ledger or self.scene.ledger(0),
            journal=self.owner.journal,
            policy=Policy(**policy),  # type: ignore[arg-type]
            balance_wei=lambda: self.balance_wei,
            tidy=lambda: self.owner.agent().tidy(),
        )

    def open(self) -> None:
        """A round that is open with the data owner's commitment."""
        update = np.random.default_rng(0).normal(0.0, 0.2, self.scene.terms.weights)
        commitment = self.owner.agent().commit(anchor(self.scene), update)
        self.digests = open_with(self.scene, commitment)

    def accuse(self, *seats: int) -> None:
        self.scene.ledger().accuse(self.scene.state.round, bitmap_of(seats), self.digests)

    @property
    def answered(self) -> bool:
        return bool(self.scene.state.answered >> self.seat & 1)


def make_watched(folder: Path, **changes: object) -> Watched:
    scene, owners = make_owners_scene(folder, real=[0], verification=DictatedVerification(), **(WIDE | changes))  # type: ignore[arg-type]
    return Watched(scene, owners[0])
