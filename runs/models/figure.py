"""The picture of a run, drawn from ``result.json`` alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..pictures import MARKET, WARNING, painting, plain_frame
from .tables import PLAIN

__all__ = ["draw"]


def draw(result_path: Path, figure_path: Path) -> None:
    """Draw accuracy, a client's work and the gas of settling against the size of the model."""
    rows = json.loads(result_path.read_text(encoding="utf-8"))["trainings"]
    with painting(figure_path, font_size=9, ncols=3, figsize=(11, 3.4)) as (_, (accuracy, work, gas)):
        _against_weights(accuracy, rows, lambda row: 100 * row["accuracy"][-1], "accuracy at the end, %")
        accuracy.set_ylim(0, 100)
        _against_weights(work, rows, lambda row: row["client"]["cpu_seconds"], "client beyond training, CPU s a round")
        markets = [row for row in rows if row.get("gas_of_20_owners")]
        _against_weights(gas, markets, lambda row: row["gas_of_20_owners"]["settle_gas"] / 1e6, "settling 20 data owners, million gas")
        gas.set_ylim(bottom=0)
        accuracy.legend(frameon=False, loc="lower left")


def _against_weights(axes: Any, rows: list[dict[str, Any]], figure: Any, label: str) -> None:
    looks = {
        PLAIN: ("s", WARNING, "plain FedAvg, nobody poisons"),
        "projected": ("o", MARKET, "projected"),
        "exact": ("x", MARKET, "exact"),
    }
    for verification, (marker, color, name) in looks.items():
        chosen = sorted((row["weights"], figure(row)) for row in rows if row["verification"] == verification)
        if chosen:
            axes.plot(*zip(*chosen, strict=True), marker, color=color, markersize=6, label=name, fillstyle="none")
    axes.set_xscale("log")
    axes.set_xlabel("weights")
    axes.set_title(label, loc="left", fontsize=9)
    plain_frame(axes, grid="y")
