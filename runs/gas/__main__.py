"""``python -m runs.gas``: one settled round for each size, and what it cost."""

from __future__ import annotations

import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from omnilytics_flwr import LocalMarket, OmnilyticsError
from omnilytics_flwr.market.task import TaskParts
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from runs.processing_time import chain_processing

from ..market import Market
from ..record import circumstances, new_folder, point_latest, write_json

HERE = Path(__file__).parent
CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Size:
    """One market to measure."""

    owners: int
    group_size: int
    weights: int


def main() -> int:
    """Measure every size of the recipe and write the record."""
    console = Console()
    recipe = tomllib.loads((HERE / "config.toml").read_text())
    if set(recipe) != {"seed", "update_bits", "size"}:
        console.print(f"config.toml has the keys {sorted(recipe)}; expected seed, update_bits and size")
        return 1
    rows = []
    try:
        for size in (Size(**entry) for entry in recipe["size"]):
            rows.append(measure(size, seed=recipe["seed"], bits=recipe["update_bits"]))
            console.print(f"{size.owners} owners, {size.weights:,} weights: {rows[-1]['round_gas']:,} gas a round")
    except OmnilyticsError as error:
        console.print(f"{type(error).__name__}: {error}")
        return 1
    folder = new_folder(HERE)
    write_json(folder / "result.json", {"run": "gas", **recipe_facts(recipe), **circumstances(), "sizes": rows})
    point_latest(folder)
    console.print(table_of(rows))
    console.print(f"record {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    return 0


def recipe_facts(recipe: dict[str, Any]) -> dict[str, Any]:
    """What the rows do not say themselves."""
    return {"seed": recipe["seed"], "update_bits": recipe["update_bits"]}


def measure(size: Size, *, seed: int, bits: int) -> dict[str, Any]:
    """Settle one round of random updates and return its gas and times."""
    chosen = Market(
        verification="exact",
        group_size=size.group_size,
        faulty_groups=1,
        update_bits=bits,
        clip=CLIP,
        longest_mean=1e6,
        reward_wei=10**12,
        bond_wei=10**15,
    )
    terms = chosen.terms(size.weights, owners=size.owners, rounds=4, accuse_seconds=7200, answer_seconds=7 * 24 * 3600, prove_seconds=7200)
    rng = np.random.default_rng(seed)
    with LocalMarket(terms, num_owners=size.owners, escrow_wei=10**18) as market:
        keeper = RoundKeeper(market.ledger)
        agents = [home.agent_for(ledger) for home, ledger in zip(market.homes, market.owner_ledgers(), strict=True)]
        task = keeper.anchor(TaskParts(bytes(32), bytes(32), bytes(32)))
        begun = time.perf_counter()
        for agent in agents:
            commitment = agent.commit(task, rng.normal(0.0, 0.01, size.weights))
            keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)
        client_seconds = (time.perf_counter() - begun) / size.owners
        digests = keeper.open()
        for agent in agents:
            delivery = agent.deliver(task.chain_id, market.ledger.address, task.epoch, task.round, digests)
            keeper.add_delivery(delivery.owner, delivery.vector, delivery.points, delivery.projected, delivery.signature)
        begun = time.perf_counter()
        proven = keeper.prove()
        prove_seconds = time.perf_counter() - begun
        report = keeper.settle(proven, TaskParts(bytes(31) + b"\1", bytes(32), bytes(32)))
        hashes = [receipt.transaction_hash for receipt in report.receipts if receipt.event in ("open", "settle")]
        gas = {receipt.event: receipt.gas_used for receipt in report.receipts}
        return {
            "owners": size.owners,
            "groups": len(report.roster),
            "weights": size.weights,
            "polynomials": market.ledger.terms().polynomials,
            "open_gas": gas["open"],
            "settle_gas": gas["settle"],
            "round_gas": gas["open"] + gas["settle"],
            "draw_gas": next(t.gas_used for t in market.transactions if t.event == "draw"),
            "settlement_bytes": len(proven.settlement),
            "client_seconds": round(client_seconds, 3),
            "prove_seconds": round(prove_seconds, 3),
            "chain_processing_ms": round(chain_processing(market.ledger.connection, hashes).total_ms, 1),
        }


def table_of(rows: list[dict[str, Any]]) -> Table:
    """The rows as a table for people."""
    table = Table(title="Gas of a round", title_justify="left")
    columns = ("owners", "groups", "weights", "polynomials", "open_gas", "settle_gas", "round_gas", "client_seconds", "prove_seconds")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{row[column]:,}" for column in columns))
    return table


if __name__ == "__main__":
    sys.exit(main())
