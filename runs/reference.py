"""``python -m runs.reference``: make the latest records the reference, and write their figures into the README.

`--check` changes nothing and fails if the README differs from the reference.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RUNS = ("mnist", "gas", "plugin")
KEPT = ("result.json", "figure.png")


def main(arguments: list[str]) -> int:
    """Adopt the latest records, or only check the README."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m runs.reference [--check]")
        return 2
    if not arguments:
        for run in RUNS:
            _adopt(ROOT / "runs" / run)
    text = README.read_text(encoding="utf-8")
    wanted = rendered(text)
    if text == wanted:
        return 0
    if arguments:
        print("README.md does not show the reference's figures; run `python -m runs.reference`")
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


def rendered(text: str) -> str:
    """The README with the reference's figures between its markers."""
    for run, table in (("mnist", mnist_table), ("gas", gas_table), ("plugin", plugin_table)):
        result = json.loads((ROOT / "runs" / run / "reference" / "result.json").read_text(encoding="utf-8"))
        block = f"<!-- {run} -->\n{table(result)}\n<!-- /{run} -->"
        text = re.sub(f"<!-- {run} -->.*<!-- /{run} -->", lambda match, block=block: block, text, flags=re.DOTALL)
    return text


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
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def gas_table(result: dict[str, Any]) -> str:
    """Gas against size."""
    head = "| data owners | groups | weights | open gas | settle gas | a data owner's masking and committing | proving |"
    rows = [
        f"| {r['owners']} | {r['groups']} | {r['weights']:,} | {r['open_gas']:,} | {r['settle_gas']:,} "
        f"| {r['client_seconds']:.1f} s | {r['prove_seconds']:.1f} s |"
        for r in result["sizes"]
    ]
    return "\n".join([head, "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |", *rows])


def plugin_table(result: dict[str, Any]) -> str:
    """Lines that were touched in each plugged-in app, by side, and what it learnt without and with a market."""
    head = "| app | lines touched: server | client | pyproject | weights | accuracy without / in a market |"
    rows = [
        f"| {r['example']} | {r['touched_lines']['server']} | {r['touched_lines']['client']} | {r['touched_lines']['project']} "
        f"| {r['weights']:,} | {r['accuracy']['plain']:.1%} / {r['accuracy']['market']:.1%} |"
        for r in result["examples"]
    ]
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: | ---: |", *rows])


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
