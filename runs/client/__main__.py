"""``python -m runs.client``: what one data owner's client takes in a market beyond training, by the model's size."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from omnilytics_flwr import LocalMarket, Terms
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.data_owner.step_times import Spent, StepTimes
from omnilytics_flwr.evm.guarded_process import GuardedProcess
from omnilytics_flwr.flower.wire import RECORD, DeliverRequest, Exchange, TaskHeader, hash_of_arrays, hash_of_task_config
from omnilytics_flwr.market.roster import bits_of, roster_hash, roster_seats
from omnilytics_flwr.market.task import TaskId, TaskParts
from omnilytics_flwr.market.terms import Address

from ..recipes import read_recipe
from ..record import circumstances, new_folder, point_latest, write_json
from ..screen import new_console, told
from .party import Answer, Client
from .tables import name_of, table_of_clients, table_of_steps

HERE = Path(__file__).parent
LAYER = 1 << 20


@dataclass(frozen=True, slots=True)
class Case:
    """One market; `verification` is exact or projected, `accusations` whether its terms have them.

    Training takes so long or, if 0, as long as one step does; if it takes a while, the owner agent is a process of its own.
    """

    weights: int
    verification: str
    accusations: bool
    training_seconds: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """The markets, each of so many data owners."""

    owners: int
    case: tuple[Case, ...]


def main() -> int:
    """Run and write the record."""
    parser = argparse.ArgumentParser(prog="python -m runs.client", description=__doc__)
    parser.add_argument("--most-weights", type=int, default=1 << 26, help="leave out cases with more weights")
    return told(lambda: _run(parser.parse_args().most_weights))


def _run(most_weights: int) -> int:
    console, recipe = new_console(), read_recipe(Recipe, HERE / "config.toml")
    rows = []
    for case in (case for case in recipe.case if case.weights <= most_weights):
        console.print(f"{case.weights:,} weights, {name_of(asdict(case))}")
        rows.append(measured(case, recipe.owners))
    folder = new_folder(HERE)
    write_json(folder / "result.json", {"run": "client", "owners": recipe.owners, **circumstances(), "cases": rows})
    point_latest(folder)
    console.print(table_of_clients(rows), table_of_steps(rows))
    console.print(f"record {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    return 0


def measured(case: Case, owners: int) -> dict[str, Any]:
    """What one client takes in a round of this market, and a plain one in the same exchange."""
    model = model_of(case.weights)
    with Client(market=False, environment={}, training_seconds=0) as client:
        plain = [client.ask(RecordDict({"arrays": model, "config": ConfigRecord()}))[1]]
    with LocalMarket(lambda verification: terms_of(case, owners, verification), num_owners=owners) as market:
        with (
            agent_process(market.homes[0].path) if case.training_seconds else nullcontext(),
            Client(market=True, environment=market.environment, training_seconds=case.training_seconds) as client,
        ):
            answers = play_round(client, market, model)
        steps = steps_of(market.homes[0].work())
    row = asdict(case) | {
        "model_bytes": sum(len(array.data) for array in model.values()),
        "plain": taken(plain),
        "client": taken(answers),
        "steps": steps,
    }
    if case.training_seconds:
        # The mask is made while the client trains; the agent's other steps, in another process, are part of what comes after.
        row["client"]["cpu_seconds"] += sum(spent["cpu_seconds"] for name, spent in steps.items() if name != "mask")
    return row


@contextmanager
def agent_process(home: Path) -> Iterator[None]:
    """The owner agent of a home as a process of its own."""
    config = home / "owner.toml"
    config.write_text(re.sub(r"(?m)^agent = .*$", 'agent = "process"', config.read_text()))
    agent = GuardedProcess([sys.executable, "-m", "omnilytics_flwr", "agent", str(home), "--json"], mark='"ready": ')
    try:
        yield
    finally:
        agent.close()


def model_of(weights: int) -> ArrayRecord:
    """A float32 model in layers."""
    rng = np.random.default_rng(1)
    sizes = [min(LAYER, weights - start) for start in range(0, weights, LAYER)]
    return ArrayRecord({f"layer-{place}": Array(rng.normal(0, 0.1, size).astype(np.float32)) for place, size in enumerate(sizes)})


def terms_of(case: Case, owners: int, verification: Address) -> Terms:
    """Terms of the case's market."""
    made = Terms.for_model(case.weights, verification=verification, owners=owners, projected=case.verification == "projected", rounds=1)
    return replace(made, draw_delay_blocks=2, answer_seconds=made.answer_seconds if case.accusations else 0)


def play_round(client: Client, market: LocalMarket, model: ArrayRecord) -> list[Answer]:
    """A round up to the delivery of the data owner that is measured; the others' digests are made up."""
    ledger, content = market.ledger, RecordDict({"arrays": model, "config": ConfigRecord()})
    config_hash = hash_of_task_config(content)
    parts = TaskParts(hash_of_arrays(model), config_hash, config_hash)
    ledger.anchor(parts.task_hash(1))
    state = ledger.state()
    task = TaskId(ledger.chain_id, ledger.address, state.epoch, state.round, state.task_hash)
    header = TaskHeader(Exchange.TRAIN, task.chain_id, task.market, task.epoch, task.round, config_hash)
    committed, first = client.ask(RecordDict({**content, RECORD: header.to_record()}))
    own, seat = bytes(committed[RECORD]["digest"]), ledger.owner_record(market.owners[0]).seat  # type: ignore[arg-type]
    groups = (1 << ledger.terms().most_owners // ledger.terms().group_size) - 1
    seats = roster_seats([ledger.group_seats(number) for number in bits_of(groups)])
    digests = tuple(own if one == seat else keccak256(word(one)) for one in seats)
    ledger.open(task.round, groups, roster_hash(groups, digests))
    request = DeliverRequest(task.chain_id, task.market, task.epoch, task.round, digests)
    return [first, client.ask(RecordDict({RECORD: request.to_record()}))[1]]


def taken(answers: list[Answer]) -> dict[str, Any]:
    """What all exchanges of a client took together, beyond training."""
    whole = StepTimes()
    for answer in answers:
        for name, spent in answer.steps.items():
            whole.add(name, spent)
            whole.add("all", spent)
    return asdict(whole.steps["all"]) | {
        "steps": {name: asdict(spent) for name, spent in whole.steps.items() if name != "all"},
        "peak_memory_bytes": max(answer.peak_memory_bytes for answer in answers),
        "sent_bytes": sum(answer.sent_bytes for answer in answers),
    }


def steps_of(work: list[dict[str, Any]]) -> dict[str, Any]:
    """What the agent noted, by step."""
    times = StepTimes()
    for line in work:
        times.add(line["work"], Spent(line["seconds"], line["cpu_seconds"], line["peak_memory_bytes"]))
    return {name: asdict(spent) for name, spent in times.steps.items()}


if __name__ == "__main__":
    raise SystemExit(main())
