"""From what happened to ``result.json``: every figure of a run, and the checks that a run must pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean, median
from typing import Any

from ..gas.rounds import Cost
from ..spending import MIB
from .recipe import Recipe
from .tables import PLAIN
from .trainings import Trained


def row_of(recipe: Recipe, model: str, verification: str, trained: Trained, *, weights: int, gas: Cost | None = None) -> dict[str, Any]:
    """One line of the record: a training, and in a market what a round of 20 data owners costs on the chain."""
    rounds, training = recipe.training(model).rounds, recipe.training(model)
    row: dict[str, Any] = {
        "model": model,
        "weights": weights,
        "verification": verification,
        "rounds": rounds,
        "accuracy": trained.accuracies,
        "client": _client(recipe, trained.messages, rounds),
        "server": {key: trained.server[key] / rounds for key in ("seconds", "cpu_seconds")} | {"mib": trained.server["mib"]},
    }
    if verification == PLAIN:
        return row
    row["client"]["steps"] = _steps(trained.work)
    row["server"]["steps"] = _means(report.seconds for report in trained.reports)
    places = {owner: index for index, owner in enumerate(trained.owners)}
    row["paid"] = [sorted(places[owner] for group in (*r.accepted, *r.waived) for owner in r.roster[group]) for r in trained.reports]
    row["transactions"] = [[receipt.event for receipt in report.receipts] for report in trained.reports]
    row["settled"] = [report.settled for report in trained.reports]
    row["gas"] = _means({receipt.event: receipt.gas_used for receipt in report.receipts} for report in trained.reports)
    row["gas_of_20_owners"] = None if gas is None else asdict(gas)
    row["most"] = {
        key: getattr(training, f"most_{key}") for key in ("client_cpu_seconds", "client_mib", "server_cpu_seconds", "server_mib")
    }
    return row


def broken_promises(result: dict[str, Any]) -> list[str]:
    """What this run should have shown and did not, in words; empty if all is well."""
    plain = {row["model"]: row for row in result["trainings"] if row["verification"] == PLAIN}
    markets = [row for row in result["trainings"] if row["verification"] != PLAIN]
    broken = [f"{row['model']}, {row['verification']}: {claim}" for row in markets for claim in _broken(result, row, plain[row["model"]])]
    least = result["settle_gas_of_smallest"]
    for row in (row for row in markets if row["verification"] == "projected"):
        ratio = row["gas_of_20_owners"]["settle_gas"] / least
        if ratio > result["promises"]["settle_gas_ratio"]:
            broken.append(f"{row['model']}: settling 20 data owners' projected round costs {ratio:.2f} times the smallest model's")
    return broken


def _broken(result: dict[str, Any], row: dict[str, Any], plain: dict[str, Any]) -> list[str]:
    most, points = row["most"], result["promises"]["accuracy_points"]
    server = {key: row["server"][key] - plain["server"][key] for key in ("cpu_seconds", "mib")}
    claims = {
        f"within {points:g} points of plain FedAvg without an attacker": row["accuracy"][-1] >= plain["accuracy"][-1] - points / 100,
        "every round is settled, by one transaction": row["settled"] == [True] * row["rounds"]
        and all(events.count("settle") == 1 for events in row["transactions"]),
        "no attacker is paid": not any({*result["attackers"]} & {*paid} for paid in row["paid"]),
        f"a client under {most['client_cpu_seconds']:g} s of CPU a round": row["client"]["cpu_seconds"] < most["client_cpu_seconds"],
        f"a client's process under {most['client_mib']:g} MiB": row["client"]["mib"] < most["client_mib"],
        f"the server under {most['server_cpu_seconds']:g} s of CPU beyond Flower's": server["cpu_seconds"] < most["server_cpu_seconds"],
        f"the server's process under {most['server_mib']:g} MiB beyond Flower's": server["mib"] < most["server_mib"],
    }
    return [claim for claim, holds in claims.items() if not holds]


def _client(recipe: Recipe, messages: Sequence[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """What an honest data owner spends in a round; its processor time without training, its training's beside it."""
    honest = [line for line in messages if line["owner"] not in recipe.attackers]
    owners = {line["owner"]: [other for other in honest if other["owner"] == line["owner"]] for line in honest}
    beyond = [sum(line["cpu_seconds"] - line["training_cpu_seconds"] for line in lines) / rounds for lines in owners.values()]
    return {
        "cpu_seconds": median(beyond),
        "training_cpu_seconds": median(sum(line["training_cpu_seconds"] for line in lines) / rounds for lines in owners.values()),
        "mib": max(line["mib"] for line in honest),
        "exchanges": len(honest) / len(owners) / rounds,
        "received_mib": sum(line["received_bytes"] for line in honest) / len(owners) / rounds / MIB,
        "sent_mib": sum(line["sent_bytes"] for line in honest) / len(owners) / rounds / MIB,
    }


def _steps(work: Iterable[dict[str, object]]) -> dict[str, dict[str, float]]:
    """By kind of work: the mean of whatever figures the agents noted of it, but the largest of memory."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for line in work:
        kinds.setdefault(str(line["work"]), []).append(line)
    figures = ("seconds", "cpu_seconds", "peak_memory_bytes")
    how = {"peak_memory_bytes": max}
    return {
        kind: {figure: how.get(figure, fmean)([line[figure] for line in lines]) for figure in figures if figure in lines[0]}
        for kind, lines in kinds.items()
    }


def _means(of_rounds: Iterable[dict[str, Any]]) -> dict[str, float]:
    """The mean of each entry over the rounds that have it."""
    found: dict[str, list[float]] = {}
    for entries in of_rounds:
        for name, value in entries.items():
            found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in found.items()}
