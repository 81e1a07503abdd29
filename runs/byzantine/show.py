"""What a person sees: progress while it runs, tables at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..audit.verdict import is_confirmed
from ..screen import ETHER, new_table, percent, show_end
from .result import audits_of

__all__ = ["crowd_label", "show_result"]


def crowd_label(result: dict[str, Any], crowd: str) -> str:
    """How many attackers a crowd has, and in how many groups."""
    places = result["crowds"][crowd]
    groups = len({place // result["group_size"] for place in places})
    many = f"{len(places)} attacker{'s' if len(places) > 1 else ''}"
    return f"{many},\n{groups} group{'s' if groups > 1 else ''}"


def show_result(console: Console, result: dict[str, Any], broken: Sequence[str], *, folder: Path, latest: Path) -> None:
    """Print the tables of a run, and where its record is."""
    calm = result["no_attacker"]
    console.print()
    console.print(
        f"{result['owners']} data owners in {result['groups']} groups of {result['group_size']}, f = {result['faulty_groups']}, "
        f"{result['rounds']} rounds. Nobody attacks: market {percent(calm['market'])}, plain FedAvg {percent(calm['fedavg'])}, "
        f"{percent(calm['honest_paid'])} of all updates paid."
    )
    console.print(_accuracy_table(result))
    console.print(_pay_table(result))
    console.print(_rules_table(result))
    console.print(_projections_text(result))
    console.print(_misdeed_table(result))
    same = sum(all(value for key, value in one.items() if key.startswith("same")) for one in result["confirmed_on_chain"].values())
    console.print(f"{same} of {len(result['confirmed_on_chain'])} attacks repeated on a chain: same distances, groups and payments.")
    audits = audits_of(result)
    console.print(f"{sum(map(is_confirmed, audits))} of {len(audits)} markets on a chain confirmed by an audit from the chain alone.")
    show_end(console, broken, folder=folder, latest=latest, picture=folder / "figure.png")


def _accuracy_table(result: dict[str, Any]) -> Table:
    table = _table("Accuracy in %: market / plain FedAvg", result)
    for attack, crowds in result["attacks"].items():
        cells = [f"{_bare(cell['market'])} / {_bare(cell['fedavg'])}" for cell in crowds.values()]
        table.add_row(attack, *(f"[bold]{text}[/bold]" if _lost(cell) else text for text, cell in zip(cells, crowds.values(), strict=True)))
    return table


def _pay_table(result: dict[str, Any]) -> Table:
    table = _table("Paid in % of rounds: groups with an attacker / honest data owners", result)
    for attack, crowds in result["attacks"].items():
        cells = []
        for cell in crowds.values():
            unopened = cell["rounds"] - cell["rounds_opened"]
            note = f"{unopened} not opened, " if unopened else ""
            cells.append(f"{note}{_bare(cell['attackers_groups_paid'])} / {_bare(cell['honest_paid'])}")
        table.add_row(attack, *cells)
    return table


def _rules_table(result: dict[str, Any]) -> Table:
    columns = [f"{percent} %" if percent else "the paper's" for percent in result["outlier_percents"]]
    table = new_table(
        "By outlier percentage: accuracy in % (attackers' groups / honest data owners paid, % of rounds)", "", *columns, "projected"
    )
    crowd = result["sweep_crowd"]
    for attack, cell in [("nobody", result["no_attacker"]), *((name, crowds[crowd]) for name, crowds in result["attacks"].items())]:
        paid = [
            f"{_bare(one['market'])} ({_bare(one['attackers_groups_paid'])} / {_bare(one['honest_paid'])})"
            for one in cell["rules"].values()
        ]
        table.add_row(attack, *paid, _bare(cell["projected"]))
    return table


def _projections_text(result: dict[str, Any]) -> str:
    found = result["projections"]
    return (
        f"Projections select the groups of exact distances in {found['same']} of {found['rounds']} rounds, "
        f"and in {found['loud_same']} of the {found['loud_rounds']} with a loud attack."
    )


def _misdeed_table(result: dict[str, Any]) -> Table:
    columns = ("its group", "paid,\nether", "stake lost,\nether", "comrades\npaid, %", "others\npaid, %")
    table = new_table("One owner breaks the protocol, on a chain", "", *columns)
    for one in result["misdeeds"]:
        fate = f"{one['fate']} ({one['refused']})" if one["refused"] else one["fate"]
        paid, lost = (f"{one[key] / ETHER:g}" for key in ("attacker_paid_wei", "stake_lost_wei"))
        table.add_row(one["name"], fate, paid, lost, _bare(one["comrades_paid"]), _bare(one["others_paid"]))
    return table


def _table(title: str, result: dict[str, Any]) -> Table:
    return new_table(title, "", *(crowd_label(result, crowd) for crowd in result["crowds"]))


def _lost(cell: dict[str, Any]) -> bool:
    """Whether the market did clearly worse than plain FedAvg."""
    return cell["fedavg"] is not None and cell["market"] < cell["fedavg"] - 0.02


def _bare(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
