"""What the rows of a record mean, and the checks that a run must pass."""

from __future__ import annotations

from typing import Any

from .recipe import MARKETS

READABLE = 0.05
"""A message that compresses to less than this share has the repeated update in clear: one that is masked stays over a half."""
SMALL_LOSS, RUIN = 0.03, 0.10
"""Of accuracy, by one poisoner: what a defence may lose, and what none loses at least."""

Row = dict[str, Any]


def sees_updates(row: Row) -> bool:
    """Whether the server could read single updates in a round of `Blocks`."""
    return float(row["compressed_to"]) < READABLE


def seconds_of_client(row: Row) -> float:
    """Wall seconds of one data owner in a round."""
    return float(row["client_seconds"] / (row["owners"] * row["rounds"]))


def accuracies(result: Row, peer: str) -> tuple[float, float]:
    """Accuracy with nobody poisoning, and with the poisoner."""
    clean, attacked = sorted((row for row in result["digits"] if row["peer"] == peer), key=lambda row: bool(row["attacked"]))
    return float(clean["accuracy"]), float(attacked["accuracy"])


def attacked_row(result: Row, peer: str) -> Row:
    """The row of the digits that somebody poisons."""
    return next(row for row in result["digits"] if row["peer"] == peer and row["attacked"])


def paid_owners(row: Row) -> list[int]:
    """Data owners that earned in every round."""
    return [owner for owner, earned in enumerate(row["earned_wei"]) if earned >= row["rounds"] * row["reward_wei"]]


def broken_promises(result: Row) -> list[str]:
    """What this run should have shown and did not, in words; empty if all is well."""
    costs = [row for row in result["costs"] if "refused" not in row]
    markets = [row for row in costs if row["peer"] in MARKETS]
    learnt = {peer: accuracies(result, peer) for peer in {row["peer"] for row in result["digits"]}}
    lost = {peer: clean - attacked for peer, (clean, attacked) in learnt.items()}
    poisoned = [attacked_row(result, peer) for peer in MARKETS]
    every_market = [row for case in ("costs", "digits", "noise", "silence") for row in result[case] if "audited_rounds" in row]
    silent = [row for row in result["silence"] if row["peer"] in MARKETS]
    errors = {(row["peer"], row["spread"]): row["error"] for row in result["noise"]}
    claims = {
        "every peer learns from everybody, MultiKrum from all but one": all(
            row["learnt_from"] == row["owners"] - (row["peer"] == "multikrum") for row in costs
        ),
        "a market's round has two exchanges": all(row["exchanges"] == 2 for row in markets),
        "every model of a projected market fits a transaction": all("gas" in row for row in result["costs"] if row["peer"] == "projected"),
        "the server sees single updates of FedAvg and MultiKrum, and no others": all(
            sees_updates(row) == (row["peer"] in ("fedavg", "multikrum")) for row in costs
        ),
        "one poisoner ruins FedAvg and SecAgg+": all(lost[peer] >= RUIN for peer in ("fedavg", "secagg+")),
        "one poisoner costs a market little accuracy": all(lost[peer] <= SMALL_LOSS for peer in MARKETS),
        "a market keeps the poisoner out however small the updates are": all(
            row["error"] <= errors["fedavg", row["spread"]] / 2 for row in result["noise"] if row["peer"] in MARKETS
        ),
        "the poisoner earns nothing, and at least four groups of five earn in every round": all(
            row["earned_wei"][result["poisoner"]] == 0 and 5 * len(paid_owners(row)) >= 4 * len(row["earned_wei"]) for row in poisoned
        ),
        "an outsider's audit confirms every round of every market": all(row["audited_rounds"] == row["rounds"] for row in every_market),
        "a market learns on when a data owner falls silent": all(5 * row["learnt_from"] >= 4 * row["owners"] for row in silent),
    }
    return [claim for claim, holds in claims.items() if not holds]
