"""``python -m runs.onchain``: the same training in an exact, a projected and a computed market, and what each costs on the chain."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from omnilytics_flwr import LocalMarket, Terms
from omnilytics_flwr.errors import BadTerms
from omnilytics_flwr.market.task import TaskParts
from omnilytics_flwr.model_owner.decision import Decision
from omnilytics_flwr.model_owner.round_keeper import RoundKeeper
from omnilytics_flwr.model_owner.round_report import RoundReport

from ..market import VERIFICATIONS
from ..record import circumstances, new_folder, point_latest, write_json
from ..screen import WholeTable, new_console, told
from .regression import WEIGHTS, Floats, accuracy, load_shares, trained

HERE = Path(__file__).parent
GROUP_SIZE = 3
CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What ``config.toml`` says; `largest` has data owners and group size of each market that is to be filled."""

    seed: int
    owners: int
    digits_per_owner: int
    test_digits: int
    rounds: int
    local_epochs: int
    learning_rate: float
    batch_size: int
    largest: tuple[dict[str, int], ...]


def main() -> int:
    """Run and write the record."""
    argparse.ArgumentParser(prog="python -m runs.onchain", description=__doc__).parse_args()
    return told(_run)


def _run() -> int:
    console, entries = new_console(), tomllib.loads((HERE / "config.toml").read_text())
    recipe = Recipe(**(entries | {"largest": tuple(entries["largest"])}))
    rows = []
    for name in VERIFICATIONS:
        rows.append(learn(recipe, name))
        console.print(f"{name}: accuracy {rows[-1]['accuracy'][-1]:.1%}, {rows[-1]['settle_gas']:,} gas to settle")
    largest = []
    for size in recipe.largest:
        largest += [fill(name, seed=recipe.seed, **size) for name in VERIFICATIONS]
        console.print(f"{size['owners']} data owners: {largest[-1]['weights']:,} weights fit a computed market")
    folder = new_folder(HERE)
    facts = {"seed": recipe.seed, "owners": recipe.owners, "group_size": GROUP_SIZE, "rounds": recipe.rounds, "weights": WEIGHTS}
    write_json(folder / "result.json", {"run": "onchain", **facts, **circumstances(), "verifications": rows, "largest": largest})
    point_latest(folder)
    console.print(table_of(rows), table_of(largest))
    console.print(f"record {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    return 0


def learn(recipe: Recipe, verification: str) -> dict[str, Any]:
    """Train in a market with this verification; accuracy after each round, and the gas of the last."""
    shares, test = load_shares(owners=recipe.owners, each=recipe.digits_per_owner, test=recipe.test_digits, seed=recipe.seed)
    model, reached, decisions, reports = np.zeros(WEIGHTS), [], [], []
    how = {"epochs": recipe.local_epochs, "lr": recipe.learning_rate, "batch_size": recipe.batch_size}
    with market_for(WEIGHTS, verification, owners=recipe.owners, group_size=GROUP_SIZE, rounds=recipe.rounds) as market:
        for number in range(1, recipe.rounds + 1):
            updates = [trained(model, share, **how, seed=[recipe.seed, number, i]) - model for i, share in enumerate(shares)]  # type: ignore[arg-type]
            decision, report = settled(market, number, lambda owner: updates[owner])  # noqa: B023
            if decision.mean is not None:
                model = model + decision.mean
            reached.append(accuracy(model, test))
            decisions.append(decision)
            reports.append(report)
    accepted = [len(decision.accepted) for decision in decisions]
    return {"verification": verification, "accuracy": reached, "groups_accepted": accepted} | costs(decisions[-1], reports[-1])


def fill(verification: str, *, owners: int, group_size: int, seed: int) -> dict[str, Any]:
    """What a round of random updates costs with the largest model that a computed market takes."""
    weights, rng = largest_weights(owners, group_size), np.random.default_rng(seed)
    with market_for(weights, verification, owners=owners, group_size=group_size, rounds=1) as market:
        decision, report = settled(market, 1, lambda owner: rng.normal(0.0, 0.01, weights))
    return {"verification": verification, "owners": owners, "weights": weights} | costs(decision, report)


def largest_weights(owners: int, group_size: int) -> int:
    """Weights of the largest model of so many data owners that a computed market settles on Ethereum."""

    def fits(weights: int) -> bool:
        try:
            Terms.for_model(weights, verification=ANY_VERIFICATION, owners=owners, group_size=group_size, computed=True)
        except BadTerms:
            return False
        return True

    least, most = 1, 1 << 20
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least


def market_for(weights: int, verification: str, *, owners: int, group_size: int, rounds: int) -> LocalMarket:
    """A market for a model of so many weights."""
    chosen: Any = verification
    model = {"weights": np.zeros(weights)}
    return LocalMarket.for_model(
        model, num_owners=owners, group_size=group_size, clip=CLIP, longest_mean=1e3, rounds=rounds, verification=chosen
    )


def settled(market: LocalMarket, number: int, update_of: Callable[[int], Floats]) -> tuple[Decision, RoundReport]:
    """One round from anchor to settlement."""
    keeper = RoundKeeper(market.ledger)
    agents = [home.agent_for(ledger) for home, ledger in zip(market.homes, market.owner_ledgers(), strict=True)]
    task = keeper.anchor(TaskParts(number.to_bytes(32, "big"), bytes(32), bytes(32), bytes(32)))
    for owner, agent in enumerate(agents):
        commitment = agent.commit(task, update_of(owner))
        keeper.add_commitment(commitment.owner, commitment.digest, commitment.signature)
    digests = keeper.open()
    for agent in agents:
        delivery = agent.deliver(task.chain_id, market.ledger.address, task.epoch, task.round, digests)
        keeper.add_delivery(delivery.owner, delivery.vector, delivery.points, delivery.projected, delivery.signature)
    decision = keeper.prove()
    return decision, keeper.settle(decision, None)


def costs(decision: Decision, report: RoundReport) -> dict[str, int]:
    """Gas and bytes of a round."""
    gas = {receipt.event: receipt.gas_used for receipt in report.receipts}
    return {"open_gas": gas["open"], "settle_gas": gas["settle"], "settlement_bytes": len(decision.settlement)}


def table_of(rows: list[dict[str, Any]]) -> Table:
    """The rows as a table for people."""
    table = WholeTable()
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    return table


ANY_VERIFICATION: Any = "0x" + "00" * 19 + "01"


if __name__ == "__main__":
    sys.exit(main())
