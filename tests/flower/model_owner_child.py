"""A model owner's process that kills itself, by SIGKILL, after one of its steps; run with one argument, a JSON object of `Orders`.

Its last line is a JSON object with what it ended with. The nodes are in the same process, from owner homes that outlive it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.data_owner.owner_home import OwnerHome
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.terms import Address
from tests.flower.fake_grid import FakeGrid
from tests.flower.identity import as_server
from tests.flower.killing import Killer
from tests.flower.play import Trainer, make_model

BROADCAST = "eth_sendRawTransaction"


@dataclass(frozen=True)
class Orders:
    """What the process does.

    Attributes
    ----------
    url, market, homes, run_dir : str
    num_owners, rounds : int
    kind : str
        Kind of step after which it kills itself: ``"broadcast"`` of a transaction, or one of `tests.flower.killing`.
    times : int
        How many such steps it does before; -1 to live.
    """

    url: str
    market: str
    homes: str
    run_dir: str
    num_owners: int
    rounds: int
    kind: str = ""
    times: int = -1

    def argument(self) -> str:
        return json.dumps(asdict(self))


class Counting(Killer):
    """Strikes after the so-manieth step of a kind."""

    def __init__(self, orders: Orders) -> None:
        super().__init__()
        self.orders = orders

    def note(self, step: str) -> None:
        self.steps.append(step)
        if step == self.orders.kind and self.steps.count(step) > self.orders.times >= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def watch_broadcasts(connection: Connection, killer: Killer) -> None:
    """Transactions of this connection that have left are steps, before anybody has heard of them."""
    once = connection.endpoint.request_once

    def request_once(method: str, *params: object) -> Any:
        answer = once(method, *params)
        if method == BROADCAST:
            killer.note("broadcast")
        return answer

    connection.endpoint.request_once = request_once  # type: ignore[method-assign]


def main(orders: Orders) -> dict[str, Any]:
    """Run the rounds; what came of it."""
    homes = [OwnerHome.open(Path(orders.homes) / f"owner-{number}") for number in range(orders.num_owners)]
    owners = connect(orders.url)
    agents = [home.agent_for(EthereumLedger(owners, Address(orders.market), home.wallet(owners))) for home in homes]
    mod = OmnilyticsMod(agent=lambda context: agents[int(context.node_config["partition-id"])])
    trainers = [Trainer(make_model(100 + number)) for number in range(orders.num_owners)]
    grid = FakeGrid({100 + number: trainer.app(mod) for number, trainer in enumerate(trainers)})
    killer = Counting(orders)
    killer.watch_files()
    connection = connect(orders.url, outbox=Path(orders.run_dir) / "outbox")
    watch_broadcasts(connection, killer)
    ledger = EthereumLedger(connection, Address(orders.market), dev_wallet(0, connection))
    strategy = Omnilytics(FedAvg(), ledger=killer.ledger(ledger), run_dir=Path(orders.run_dir))
    with as_server():
        result = strategy.start(grid, make_model(), orders.rounds)
    model = hashlib.sha256(b"".join(array.numpy().tobytes() for array in result.arrays.values())).hexdigest()
    return {
        "model": model,
        "reports": [[report.round, report.settled] for report in strategy.reports],
        "steps": killer.steps,
        "trained": [len(trainer.trained) for trainer in trainers],
    }


if __name__ == "__main__":
    print(json.dumps(main(Orders(**json.loads(sys.argv[1])))))
