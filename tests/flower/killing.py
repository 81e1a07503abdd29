"""A model owner that is killed after any of its steps that outlive it, and started again.

A step is a durable write, a deletion, or a transaction. In memory, being killed is an exception that nothing catches; whoever is killed
so leaves no more behind than by SIGKILL, for every step is finished when it returns. Run as a program with one argument, a JSON object of
`Orders`, this module is a model owner's process that kills itself by SIGKILL; its last line is a JSON object with what it ended with.
"""

from __future__ import annotations

import hashlib
import json
import os
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
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.market.ledger import ModelOwnerLedger
from omnilytics_flwr.market.terms import Address
from omnilytics_flwr.model_owner.run_directory import RunDirectory
from tests.flower.clients import Trainer, as_server, make_model
from tests.flower.markets import nodes

TRANSACTIONS = frozenset({"anchor", "open", "accuse", "settle", "timeout"})


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Killer:
    """Counts steps, such as ``"write progress"`` or ``"send open"``, and strikes after the one of number `strike_after`, if there is one."""

    strike_after: int | None = None
    steps: list[str] = field(default_factory=list)

    def about_to(self, step: str) -> None:
        """A transaction is next."""

    def note(self, step: str) -> None:
        """A step is done."""
        self.steps.append(step)
        if len(self.steps) - 1 == self.strike_after:
            raise Killed(step)

    @property
    def sent(self) -> list[str]:
        """The transactions among the steps."""
        return [step.removeprefix("send ") for step in self.steps if step.startswith("send ")]

    def ledger(self, ledger: ModelOwnerLedger) -> ModelOwnerLedger:
        """`ledger`, whose transactions are steps once they are mined."""
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
    def __init__(self, ledger: ModelOwnerLedger, killer: Killer) -> None:
        self._ledger, self._killer = ledger, killer

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        if name not in TRANSACTIONS:
            return value

        def send(*arguments: object) -> object:
            self._killer.about_to(f"send {name}")
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


@dataclass
class Counting(Killer):
    """Kills the process after the so-manieth step of a kind."""

    kind: str = ""
    times: int = -1

    def note(self, step: str) -> None:
        self.steps.append(step)
        if step == self.kind and self.steps.count(step) > self.times >= 0:
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
    trainers = [Trainer(make_model(100 + number)) for number in range(orders.num_owners)]
    killer = Counting(kind=orders.kind, times=orders.times)
    killer.watch_files()
    connection = connect(orders.url, outbox=Path(orders.run_dir) / "outbox")
    watch_broadcasts(connection, killer)
    ledger = EthereumLedger(sender_for(connection, dev_wallet(0, connection)), Address(orders.market))
    strategy = Omnilytics(FedAvg(), ledger=killer.ledger(ledger), run_dir=Path(orders.run_dir))
    with as_server():
        result = strategy.start(nodes(agents, trainers), make_model(), orders.rounds)
    model = hashlib.sha256(b"".join(array.numpy().tobytes() for array in result.arrays.values())).hexdigest()
    return {
        "model": model,
        "reports": [[report.round, report.settled] for report in strategy.reports],
        "steps": killer.steps,
        "trained": [len(trainer.trained) for trainer in trainers],
    }


if __name__ == "__main__":
    print(json.dumps(main(Orders(**json.loads(sys.argv[1])))))
