"""The look that pictures of all runs share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["GRID", "INK", "MARKET", "MUTED", "WARNING", "painting", "plain_frame"]

MARKET, WARNING = "#1b6ca8", "#c2410c"
SURFACE, INK, MUTED, GRID = "#ffffff", "#1f2937", "#6b7280", "#e5e7eb"


@contextmanager
def painting(path: Path, *, font_size: int, **subplots: Any) -> Iterator[tuple[Any, Any]]:
    """Make a figure and its axes, and save it as a PNG at the end.

    Parameters
    ----------
    path : Path
        PNG to write.
    font_size : int
        In points.
    subplots
        As for ``matplotlib.pyplot.subplots``.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": font_size, "text.color": INK, "axes.labelcolor": INK, "xtick.color": MUTED, "ytick.color": INK}):
        figure, axes = plt.subplots(facecolor=SURFACE, layout="constrained", **subplots)
        yield figure, axes
        figure.savefig(path, dpi=130)
        plt.close(figure)


def plain_frame(axes: Any, *, grid: str = "") -> None:
    """Leave two pale lines of the frame, and a pale grid along `grid` if one is named."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=GRID)
    axes.tick_params(length=0)
