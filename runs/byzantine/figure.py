"""The picture of a run, drawn from ``result.json`` alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..pictures import GRID, INK, MARKET, WARNING, painting, plain_frame
from .show import crowd_label

__all__ = ["draw"]

PAID = "#15803d"


def draw(result_path: Path, figure_path: Path) -> None:
    """Draw accuracy and pay by attack, one column for each crowd.

    Parameters
    ----------
    result_path : Path
        ``result.json`` of a run.
    figure_path : Path
        PNG to write.
    """
    result = json.loads(result_path.read_text(encoding="utf-8"))
    crowds, attacks = list(result["crowds"]), list(result["attacks"])
    height = 1.7 + 0.27 * len(attacks)
    size = (3.2 * len(crowds) + 1.6, 2 * height)
    shape = {"nrows": 2, "ncols": len(crowds), "figsize": size, "sharey": True, "squeeze": False}
    with painting(figure_path, font_size=9, **shape) as (figure, rows):
        for place, crowd in enumerate(crowds):
            _accuracy(rows[0][place], result, crowd)
            _pay(rows[1][place], result, crowd)
            rows[0][place].set_title(crowd_label(result, crowd).replace("\n", " "), loc="left", fontweight="bold")
        rows[0][0].set_yticks(range(len(attacks)), attacks)
        rows[0][0].invert_yaxis()  # and all others, which share it
        handles, labels = _legend(rows[0][0], rows[1][0])
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)


def _accuracy(axes: Any, result: dict[str, Any], crowd: str) -> None:
    calm = result["no_attacker"]
    axes.axvline(100 * calm["market"], color=MARKET, linewidth=1, linestyle="--", alpha=0.6, label="market, nobody attacks")
    axes.axvline(100 * calm["fedavg"], color=WARNING, linewidth=1, linestyle=":", alpha=0.8, label="plain FedAvg, nobody attacks")
    for place, crowds in enumerate(result["attacks"].values()):
        cell = crowds[crowd]
        market, fedavg = 100 * cell["market"], cell["fedavg"]
        if fedavg is not None:
            axes.plot([market, 100 * fedavg], [place, place], color=GRID, linewidth=3, zorder=1)
            axes.plot(100 * fedavg, place, "s", color=WARNING, markersize=5, label=None if place else "plain FedAvg", zorder=2)
        axes.plot(market, place, "o", color=MARKET, markersize=6, label=None if place else "market", zorder=3)
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy, %")
    plain_frame(axes, grid="x")


def _pay(axes: Any, result: dict[str, Any], crowd: str) -> None:
    for place, crowds in enumerate(result["attacks"].values()):
        cell = crowds[crowd]
        axes.barh(place - 0.19, 100 * cell["honest_paid"], height=0.34, color=PAID, label=None if place else "honest data owners paid")
        axes.barh(
            place + 0.19,
            100 * cell["attackers_groups_paid"],
            height=0.34,
            color=INK,
            label=None if place else "groups with an attacker paid",
        )
    axes.set_xlim(0, 100)
    axes.set_xlabel("paid, % of rounds")
    plain_frame(axes, grid="x")


def _legend(*axes: Any) -> tuple[list[Any], list[str]]:
    found = [one.get_legend_handles_labels() for one in axes]
    return [handle for handles, _ in found for handle in handles], [label for _, labels in found for label in labels]
