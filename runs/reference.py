"""``python -m runs.reference``: make the latest records the reference, and write their figures into docs/reference/benchmarks.md.

`--check` changes nothing and fails if that page differs from the reference.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from .audit.tables import audit_table
from .audit.verdict import is_confirmed, verdict_text
from .byzantine.result import audits_of
from .client.tables import client_table
from .markdown import markdown_table
from .models.tables import models_table
from .peers.tables import peers_table
from .server.tables import server_table

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "docs" / "reference" / "benchmarks.md"
RUNS = ("mnist", "gas", "plugin", "byzantine", "deployment", "onchain", "peers", "client", "server", "models", "audit")
KEPT = ("result.json", "figure.png")
NO_RECORD = "No record of this run is kept yet; `python -m runs.{run}` makes one."


def main(arguments: list[str]) -> int:
    """Adopt the latest records, or only check the page."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m runs.reference [--check]")
        return 2
    if not arguments:
        for run in RUNS:
            _adopt(ROOT / "runs" / run)
    text = BENCHMARKS.read_text(encoding="utf-8")
    wanted = rendered(text)
    if text == wanted:
        return 0
    if arguments:
        print(f"{BENCHMARKS.relative_to(ROOT)} does not show the reference's figures; run `python -m runs.reference`")
        return 1
    BENCHMARKS.write_text(wanted, encoding="utf-8")
    return 0


def rendered(text: str) -> str:
    """The page with the reference's figures between its markers."""
    tables = (
        mnist_table,
        gas_table,
        plugin_table,
        byzantine_table,
        deployment_table,
        onchain_table,
        _peers_table,
        client_table,
        server_table,
        models_table,
        audit_table,
    )
    for run, table in zip(RUNS, tables, strict=True):
        result = _record_of(run)
        before, start, rest = text.partition(f"<!-- {run} -->\n")
        _, end, after = rest.partition(f"\n<!-- /{run} -->")
        if not (start and end):
            raise ValueError(f"{BENCHMARKS.relative_to(ROOT)} has no place for the figures of {run}: no <!-- {run} --> and <!-- /{run} -->")
        text = before + start + (NO_RECORD.format(run=run) if result is None else table(result)) + end + after
    return text


def _record_of(run: str) -> dict[str, Any] | None:
    path = ROOT / "runs" / run / "reference" / "result.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _peers_table(result: dict[str, Any]) -> str:
    return peers_table(result, _record_of("onchain") or {})


def mnist_table(result: dict[str, Any]) -> str:
    """Figures of the MNIST run."""
    accuracy, gas, seconds = result["accuracy"], result["gas"], result["seconds"]
    rows = [
        ("model owner's accuracy, before and after", f"{accuracy['before']:.1%} and {accuracy['after']:.1%} in {result['rounds']} rounds"),
        ("public part with an untrained private part", f"{accuracy['public_part_alone']:.1%}"),
        ("plain FedAvg, nobody poisons / one poisons", f"{accuracy['plain_fedavg']:.1%} / {accuracy['plain_fedavg_attacked']:.1%}"),
        (
            "open + settle, a round",
            f"{gas['round_mean']:,.0f} gas ({result['owners']} data owners, {result['groups']} groups, {result['weights']:,} weights)",
        ),
        ("data owner, a round", f"{gas['data_owner_per_round']:,.0f} gas"),
        ("join, draw, claim", f"{gas['join_mean']:,.0f}, {gas['draw']:,.0f}, {gas['claim_mean']:,.0f} gas"),
        ("time against plain FedAvg", f"{seconds['ratio']:.2f} times"),
        ("node time of all rounds", f"{result['chain_processing_ms']:.0f} ms"),
        ("an audit from the chain alone", verdict_text(result["audit"])),
    ]
    return markdown_table(("", ""), rows, words=(0, 1))


def gas_table(result: dict[str, Any]) -> str:
    """Gas against size, and beneath it what is extrapolated."""
    head = ("verification", "data owners", "groups", "weights", "open gas", "settle gas", "bytes", "settle gas at 64 a byte")
    beyond = [
        (*_gas_row(row | {"verification": "computed, extrapolated"}), f"{row['gas_of_a_weight']:,}") for row in result["extrapolated"]
    ]
    measured = markdown_table(head, map(_gas_row, result["rounds"]))
    return "\n\n".join([measured, markdown_table((*head, "settle gas of a weight"), beyond)])


def _gas_row(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = ("owners", "groups", "weights", "open_gas", "settle_gas", "bytes", "gas_at_64_a_byte")
    return row["verification"], *(f"{row[name]:,}" for name in numbers)


def plugin_table(result: dict[str, Any]) -> str:
    """What each plugged-in app learnt without and with a market."""
    kinds = ("plain", "exact", "projected")
    rows = [(r["example"], f"{r['weights']:,}", *(f"{r['accuracy'][kind]:.1%}" for kind in kinds)) for r in result["examples"]]
    return markdown_table(("app", "weights", "plain FedAvg", "market, exact", "market, projected"), rows)


def byzantine_table(result: dict[str, Any]) -> str:
    """Accuracy in the market and of FedAvg, and who is paid, for each attack and crowd."""
    crowds = ("two", "three", "six")
    head = ("attack", *(f"{len(result['crowds'][crowd])} attackers" for crowd in crowds))
    rows = [("nobody", _cell(result["no_attacker"]), "", "")]
    rows += [(attack, *(_cell(cells[crowd]) for crowd in crowds)) for attack, cells in result["attacks"].items()]
    calm = _calm_table(result["no_attacker_by_seed"])
    return "\n".join(
        [markdown_table(head, rows), "", calm, "", _rules_table(result), "", *_projections(result["projections"]), "", _audits(result)]
    )


def _calm_table(by_seed: dict[str, dict[str, Any]]) -> str:
    """Trainings in which nobody attacks, by seed, and their mean."""
    names = ("market", "projected", "fedavg", "honest_groups_paid", "least_paid_group")
    rows = [(seed, *(by_seed[seed][name] for name in names)) for seed in sorted(by_seed)]
    rows.append(("mean", *(sum(row[place] for row in rows) / len(rows) for place in range(1, len(names) + 1))))
    shown = [(seed, *(f"{100 * figure:.1f}" for figure in figures)) for seed, *figures in rows]
    head = ("nobody attacks, split", "market, %", "projected, %", "plain FedAvg, %", "groups paid, %", "least paid group, %")
    return markdown_table(head, shown)


def _rules_table(result: dict[str, Any]) -> str:
    """What each outlier percentage comes to: on average of the splits where nobody attacks, and under attack by one crowd."""
    calm, attacks = result["no_attacker_by_seed"].values(), result["attacks"]
    under = [cells[result["sweep_crowd"]]["rules"] for cells in attacks.values()]
    rows = []
    for rule in map(str, result["outlier_percents"]):
        shares = [
            fmean(one["rules"][rule]["market"] for one in calm),
            fmean(one["rules"][rule]["honest_groups_paid"] for one in calm),
            fmean(rules[rule]["market"] for rules in under),
            min(rules[rule]["market"] for rules in under),
            fmean(rules[rule]["attackers_groups_paid"] for rules in under),
        ]
        rows.append((rule if rule != "0" else "0 (the paper's rule)", *(f"{100 * share:.1f}" for share in shares)))
    attack = f"{len(result['crowds'][result['sweep_crowd']])} attackers"
    head = ("outlier percent", "nobody attacks, %", "groups paid, %", f"{attack}, mean, %", "worst, %", "their groups paid, %")
    return markdown_table(head, rows)


def _projections(found: dict[str, Any]) -> Iterator[str]:
    """How a projected market would have selected, and where an attack was loud and it selects others."""
    yield (
        f"Projections select the groups of exact distances in {found['same']} of {found['rounds']} rounds, and in {found['loud_same']} of "
        f"the {found['loud_rounds']} in which an attacker's group scores more than {found['loud_percent']} % of the median. The others:"
    )
    yield ""
    for one in (one for one in found["differing"] if one["loud"]):
        yield f"- {one['attack']}, {one['crowd']} attackers, round {one['round']}: {one['scores']}"


def _audits(result: dict[str, Any]) -> str:
    """How many of the run's markets an audit confirms."""
    audits = audits_of(result)
    return f"An audit from the chain alone confirms {sum(map(is_confirmed, audits))} of the {len(audits)} markets that lived on a chain."


def _cell(cell: dict[str, Any]) -> str:
    paid = f", {cell['attackers_groups_paid']:.0%}" if cell["attackers"] else ""
    fedavg = "-" if cell["fedavg"] is None else f"{100 * cell['fedavg']:.1f}"  # what never reaches a server has no FedAvg
    return f"{100 * cell['market']:.1f} / {fedavg}{paid}"


def deployment_table(result: dict[str, Any]) -> str:
    """What a round takes in real processes."""
    seconds, clients = result["seconds"], result["clients"]
    stages = seconds["by_stage_median"]
    ours = sum(stages[name] for name in ("anchor", "open", "prove", "settle") if name in stages)
    rows = [
        ("data owners, processes", f"{result['owners']}, {result['processes']}"),
        (
            "accuracy in the market / plain FedAvg on the same SuperNodes",
            f"{_last(result, 'per_round')} / {_last(result, 'plain_fedavg_per_round')}",
        ),
        ("plain FedAvg's round: Flower's one exchange, training in it", f"{seconds['plain_round_median']:.1f} s"),
        ("market's round: Flower's two exchanges (train, deliver)", f"{stages['train']:.1f} s + {stages['deliver']:.1f} s"),
        ("market's round: transactions and proof", f"{ours:.1f} s"),
        ("an audit from the chain alone", verdict_text(result["audit"])),
        *(
            (f"a client process, {kind}: CPU, peak memory", f"{used['cpu_seconds']:.2f} s, {used['peak_memory_mib']:.0f} MiB")
            for kind, used in clients.items()
        ),
    ]
    return markdown_table(("", ""), rows, words=(0, 1))


def onchain_table(result: dict[str, Any]) -> str:
    """The verifications side by side: after training, and with the largest models that the computed one takes."""
    head = ("data owners", "weights", "verification", "accuracy", "open gas", "settle gas", "settlement, bytes")
    rows = [{"owners": result["owners"], "weights": result["weights"], **row} for row in result["verifications"]] + result["largest"]
    reached = [f"{row['accuracy'][-1]:.1%}" if "accuracy" in row else "" for row in rows]
    lines = [
        (
            f"{r['owners']}",
            f"{r['weights']:,}",
            r["verification"],
            share,
            *(f"{r[n]:,}" for n in ("open_gas", "settle_gas", "settlement_bytes")),
        )
        for r, share in zip(rows, reached, strict=True)
    ]
    return markdown_table(head, lines, words=(2,))


def _last(result: dict[str, Any], which: str) -> str:
    return f"{result['accuracy'][which][-1]:.1%}"


def _adopt(run: Path) -> None:
    latest, reference = run / "latest", run / "reference"
    if not latest.exists():
        print(f"{run.name}: no record yet, the reference stays")
        return
    reference.mkdir(exist_ok=True)
    for name in KEPT:
        if (latest / name).exists():
            shutil.copyfile(latest / name, reference / name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
