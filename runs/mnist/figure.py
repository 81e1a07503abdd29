"""The picture of a run, drawn from ``result.json`` alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..pictures import INK, MARKET, MUTED, WARNING, painting, plain_frame

__all__ = ["draw"]


def draw(result_path: Path, figure_path: Path) -> None:
    """Draw accuracy by round and gas by operation.

    Parameters
    ----------
    result_path : Path
        ``result.json`` of a run.
    figure_path : Path
        PNG to write.
    """
    result = json.loads(result_path.read_text(encoding="utf-8"))
    with painting(figure_path, font_size=10, ncols=2, figsize=(12, 4.8), width_ratios=(3, 2)) as (_, (left, right)):
        _accuracy(left, result)
        _gas(right, result)


def _accuracy(axes: Any, result: dict[str, Any]) -> None:
    accuracy = result["accuracy"]
    lines = (
        ("market, one data owner poisons", accuracy["per_round"], MARKET, "-"),
        ("plain FedAvg, nobody poisons", accuracy["plain_fedavg_per_round"], MUTED, "--"),
        ("plain FedAvg, one poisons", accuracy["plain_fedavg_attacked_per_round"], WARNING, ":"),
    )
    for label, values, colour, style in lines:
        percent = [100 * value for value in values]
        axes.plot(
            range(len(percent)),
            percent,
            style,
            color=colour,
            linewidth=2.2,
            marker="o",
            markersize=4,
            label=f"{label}: {percent[-1]:.1f} %",
        )
    axes.set_title("Accuracy of the model owner's joined model", loc="left", fontweight="bold")
    axes.set_xlabel("round (0: before the first)")
    axes.set_ylabel("test accuracy, %")
    axes.set_xticks(range(len(accuracy["per_round"])))
    axes.set_ylim(top=100)
    axes.legend(frameon=False, loc="lower right")
    plain_frame(axes, grid="y")


def _gas(axes: Any, result: dict[str, Any]) -> None:
    gas = result["gas"]
    named = {
        "settle": gas["settle_mean"],
        "open": gas["open_mean"],
        "draw, once an epoch": gas["draw"],
        "join, once": gas["join_mean"],
        "claim": gas["claim_mean"],
        "data owner, a round": gas["data_owner_per_round"],
    }
    places = range(len(named))
    axes.barh(places, list(named.values()), color=MARKET, height=0.6)
    for place, value in zip(places, named.values(), strict=True):
        axes.annotate(f" {value:,.0f}", (value, place), va="center", color=INK)
    axes.set_yticks(places, list(named))
    axes.invert_yaxis()
    axes.set_xlim(right=1.25 * max(named.values()))
    axes.set_xticks([])
    axes.set_title("Gas by operation (mean)", loc="left", fontweight="bold")
    plain_frame(axes)
    axes.spines["bottom"].set_visible(False)
