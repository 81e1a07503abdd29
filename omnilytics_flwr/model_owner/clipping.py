"""What the clip of the terms has cut, as the sums of the groups show it.

Where the change of every one of m data owners is cut, their sum is one of m + 1 numbers: -m, -m + 2, ... m clips. Hardly any other sum is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..crypto.fixedpoint import steps_per_clip
from ..market.scheme import Sums
from ..market.terms import Terms

AT_CLIP = 0.99
"""From this share of the clip on an entry of the accepted mean counts as cut: nearly all of its data owners were at the clip."""

MOST_LOOKED_AT = 2**20
"""Entries of a sum that are looked at, evenly spread."""

MOST_BLUR = 0.1
"""How far rounding may move a sum, in clips; where it moves them further, they no longer tell who was cut."""


class Clipped(NamedTuple):
    """What the clip has cut of a mean: the share of its entries that sit at the clip, and, of the weights that move, that at which the
    change of every data owner was cut.
    """

    at_clip: float = 0.0
    for_all: float = 0.0


def share_at_clip(mean: NDArray[np.float64], furthest: float) -> float:
    """Share of the entries of an accepted mean that are where everybody's cut takes them, at `furthest`."""
    return float(np.mean(np.abs(mean) >= AT_CLIP * furthest))


def share_cut_for_all(sums: Sequence[Sums], terms: Terms, *, members: int, scales: Sequence[float]) -> float:
    """Of the weights that move, the share at which the change of every data owner was cut; 0 if that cannot be told.

    Parameters
    ----------
    sums : sequence of arrays, shape (at least d,), at least one
        Of the groups that are learnt from.
    members : int, > 0
        How many data owners they have together.
    scales : sequence of float, above 0, at most 1
        What a member that is cut adds to each sum, in clips.
    """
    blur = members / (min(scales) * steps_per_clip(terms.update_bits))  # each of them rounds by a step at most
    if blur > MOST_BLUR:
        return 0.0
    looked_at = slice(0, terms.weights, -(-terms.weights // MOST_LOOKED_AT))
    clips = np.stack([total[looked_at] / scale for total, scale in zip(sums, scales, strict=True)]).sum(axis=0)
    clips /= steps_per_clip(terms.update_bits)
    # A sum of zero may be as many cut upwards as downwards, but is rather a weight that nobody's training reaches.
    moved = clips[np.abs(clips) > blur] - members
    return float(np.mean(np.abs(moved - 2 * np.round(moved / 2)) <= blur)) if moved.size else 0.0
