"""A model owner that is killed after any of its steps that outlive it, and started again.

A step is a durable write, a deletion, or a transaction. In memory, being killed is an exception that nothing catches; whoever is killed
so leaves no more behind than by SIGKILL, for every step is finished when it returns. Run as a program with one argument, a JSON object of
`Orders`, this module is a model owner's process that kills itself by SIGKILL; its last line is a JSON object with what it ended with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.data_owner.owner_home import OwnerHome
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.flower.mod import OmnilyticsMod
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.market.terms import Address
from omnilytics_flwr.model_owner.run_directory import RunDirectory
from tests.flower.clients import FakeGrid, Trainer, as_server, make_model

TRANSACTIONS = frozenset({"anchor", "open", "accuse", "settle", "timeout"})


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Killer:
    """Counts steps, such as ``"write progress"`` or ``"send open"``, and strikes after the one of number `strike_after`, if there is one."""

    strike_after: int | None = None
    strike: Callable[[], None] | None = None
    steps: list[str] = field(default_factory=list)

    def note(self, step: str) -> None:
        """A step is done."""
        self.steps.append(step)
        if len(self.steps) - 1 == self.strike_after:
            if self.strike is None:
                raise Killed(step)
            self.strike()

    def ledger(self, ledger: ModelOwnerLedger) -> ModelOwnerLedger:
        """`ledger`, whose transactions are steps."""
        return cast("ModelOwnerLedger", _Watched(ledger, self))

    @contextmanager
    def watching_files(self) -> Iterator[None]:
        """Writes and deletions of run directories are steps."""
        with pytest.MonkeyPatch.context() as patch:
            self.watch_files(patch.setattr)
            yield

    def watch_files(self, replace: Callable[[Any, str, Any], None] = setattr) -> None:
        """The same, for as long as the process lives."""
        write, delete = RunDirectory.write, RunDirectory.delete

        def noted_write(directory: RunDirectory, name: str, record: object) -> None:
            write(directory, name, record)  # type: ignore[arg-type]
            self.note(f"write {kind_of(name)}")

        def noted_delete(directory: RunDirectory, *names: str) -> None:
            for name in names:
                delete(directory, name)
                self.note(f"delete {kind_of(name)}")

        replace(RunDirectory, "write", noted_write)
        replace(RunDirectory, "delete", noted_delete)


class _Watched:
    """Notes every transaction of a ledger once it is mined."""

    def __init__(self, ledger: ModelOwnerLedger, killer: Killer) -> None:
        self._ledger = ledger
        self._killer = killer

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        if name not in TRANSACTIONS:
            return value

        def send(*arguments: object) -> object:
            receipt = value(*arguments)
            self._killer.note(f"send {name}")
            return receipt

        return send


def kind_of(name: str) -> str:
    """What a record is, whatever round or data owner it is of."""
    return name.split("-")[0]


def boundaries(steps: list[str]) -> list[int]:
    """Numbers of the steps after which to strike: all, but of a row of the same steps the first, one in the middle and the last."""
    chosen, start = [], 0
    for place in range(1, len(steps) + 1):
        if place == len(steps) or steps[place] != steps[start]:
            row = range(start, place)
            chosen += sorted({row[0], row[len(row) // 2], row[-1]})
            start = place
    return chosen


def copy_folder(source: Path, to: Path) -> None:
    """Make `to` a copy of a folder, in place of what is there."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(source, to)


BROADCAST = "eth_sendRawTransaction"


@dataclass(frozen=True)
class Orders:
    """What the process does; it kills itself after a step of this kind (a ``"broadcast"``, or one of `Killer`'s) that it did so many
    times before, or lives if `times` is -1.
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
    agents = [home.agent_for(EthereumLedger(sender_for(owners, home.wallet(owners)), Address(orders.market))) for home in homes]
    mod = OmnilyticsMod(agent=lambda context: agents[int(context.node_config["partition-id"])])
    trainers = [Trainer(make_model(100 + number)) for number in range(orders.num_owners)]
    grid = FakeGrid({100 + number: trainer.app(mod) for number, trainer in enumerate(trainers)})
    killer = Counting(orders)
    killer.watch_files()
    connection = connect(orders.url, outbox=Path(orders.run_dir) / "outbox")
    watch_broadcasts(connection, killer)
    ledger = EthereumLedger(sender_for(connection, dev_wallet(0, connection)), Address(orders.market))
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
