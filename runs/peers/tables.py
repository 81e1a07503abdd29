"""The tables of a record, for docs/reference/benchmarks.md and the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from ..markdown import markdown_table
from ..screen import new_table
from .result import accuracies, attacked_row, paid_owners, seconds_of_client, sees_updates

NAMES = {
    "fedavg": "plain FedAvg",
    "multikrum": "MultiKrum",
    "secagg+": "SecAgg+",
    "exact": "market, exact",
    "projected": "market, projected",
}
MEGABYTE = 1_000_000
COSTS = ("weights", "data owners", "peer", "exchanges", "a round, s", "a client, s", "server, s", "sent by a client, MB", "received, MB")
SILENT = tuple(f"learns from, one silent from exchange {number} on" for number in range(1, 5))
BELOW = "[the three verifications](#the-three-verifications-side-by-side)"

Row = dict[str, Any]


def peers_table(result: Row, onchain: Row) -> str:
    """All tables: costs, protection, and gas beside the way of the paper, whose record `onchain` is, and of others."""
    return "\n\n".join([costs_table(result), protection_table(result), gas_table(result, onchain)])


def costs_table(result: Row) -> str:
    """Seconds, bytes and exchanges of a round by size."""
    return markdown_table(COSTS, [_cost(row) for row in result["costs"]], words=(2,))


def screen_tables(result: Row) -> Iterable[Table]:
    """Costs and protection, for people at a terminal."""
    for title, (columns, *rows) in (
        ("What a round costs", [COSTS, *(_cost(row) for row in result["costs"])]),
        ("What it protects against", protection(result)),
    ):
        table = new_table(title, *columns)
        for row in rows:
            table.add_row(*row)
        yield table


def _cost(row: Row) -> list[str]:
    size = [f"{row['weights']:,}", str(row["owners"]), NAMES[row["peer"]]]
    if "refused" in row:
        return [*size, "refused", *5 * [""]]
    bytes_of_one = [f"{row[key] / (row['owners'] * row['rounds']) / MEGABYTE:.2f}" for key in ("up_bytes", "down_bytes")]
    return [
        *size,
        f"{row['exchanges']}",
        f"{row['seconds'] / row['rounds']:.1f}",
        f"{seconds_of_client(row):.2f}",
        f"{row['server_seconds']:.2f}",
        *bytes_of_one,
    ]


def protection_table(result: Row) -> str:
    """What each peer protects against, as the run found it."""
    columns, *rows = protection(result)
    return markdown_table(columns, rows, words=range(len(columns)))


def protection(result: Row) -> list[tuple[str, ...]]:
    """The same in cells: a column for each peer, first its name."""
    spreads = sorted({row["spread"] for row in result["noise"]}, reverse=True)
    questions = [
        "",
        "server sees single updates",
        "accuracy, nobody / one poisons",
        *(f"off by, one poisons updates of {spread:g}" for spread in spreads),
        *SILENT,
        "paid",
        "confirmed by an outsider",
    ]
    return list(zip(questions, *(_protection(result, peer, spreads) for peer in NAMES), strict=True))


def _protection(result: Row, peer: str, spreads: Sequence[float]) -> list[str]:
    seen = all(sees_updates(row) for row in result["costs"] if row["peer"] == peer and "refused" not in row)
    errors = [next(row["error"] for row in result["noise"] if row["peer"] == peer and row["spread"] == spread) for spread in spreads]
    silent = [_learnt(row) for row in result["silence"] if row["peer"] == peer]
    poisoned = attacked_row(result, peer)
    paid = confirmed = "nothing is"
    if "earned_wei" in poisoned:
        earns = "the poisoner too" if poisoned["earned_wei"][result["poisoner"]] else "not the poisoner"
        paid = f"{len(paid_owners(poisoned))} of {len(poisoned['earned_wei'])}, {earns}"
        confirmed = f"{poisoned['audited_rounds']} of {poisoned['rounds']} rounds"
    clean, attacked = accuracies(result, peer)
    return [
        NAMES[peer],
        "yes" if seen else "no",
        f"{clean:.1%} / {attacked:.1%}",
        *(f"{error:.2f}" for error in errors),
        *[*silent, *len(SILENT) * [""]][: len(SILENT)],
        paid,
        confirmed,
    ]


def _learnt(row: Row) -> str:
    """From how many data owners a round with a silent one learnt, and how long it took; the failure where it was nobody."""
    learnt = f"{row['learnt_from']:.0f}" if row["learnt_from"] else f"nobody ({'; '.join(row['failures']) or 'without a word'})"
    return f"{learnt}, {row['seconds']:.0f} s"


def gas_table(result: Row, onchain: Row) -> str:
    """Gas of a round: of this run's markets, of the paper's own way, and as others publish it."""
    head = ("system", "data owners", "weights", "gas of a round", "from")
    rows = [
        [NAMES[row["peer"]], str(row["owners"]), f"{row['weights']:,}", f"{sum(row['gas'].values()):,}", "this run"]
        for row in result["costs"]
        if "gas" in row
    ]
    paper = [{"owners": onchain["owners"], "weights": onchain["weights"], **row} for row in onchain["verifications"]] + onchain["largest"]
    rows += [
        [
            "the contract computes, as in the paper",
            str(row["owners"]),
            f"{row['weights']:,}",
            f"{row['open_gas'] + row['settle_gas']:,}",
            BELOW,
        ]
        for row in paper
        if row["verification"] == "computed"
    ]
    rows += [[one["system"], str(one["owners"]), "", f"{one['gas']:,}", f"[theirs]({one['source']})"] for one in result["published"]]
    return markdown_table(head, rows, words=(0, 4))
