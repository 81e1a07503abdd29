"""What the clip of the terms has cut, as the accepted mean shows it.

Where the change of every one of m data owners is cut, their sum is one of m + 1 numbers: -m, -m + 2, ... m clips. Hardly any other sum is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..crypto.fixedpoint import steps_per_clip
from ..market.terms import Terms

AT_CLIP = 0.99
"""From this share of the clip on an entry of the accepted mean counts as cut: nearly all of its data owners were at the clip."""

MOST_LOOKED_AT = 2**20
"""Entries of a mean that are looked at, evenly spread."""

MOST_BLUR = 0.1
"""How far rounding may move a sum, in clips; where it moves them further, they no longer tell who was cut."""


def share_at_clip(mean: NDArray[np.float64], clip: float) -> float:
    """Share of the entries of an accepted mean that sit at the clip."""
    return float(np.mean(np.abs(mean) >= AT_CLIP * clip))


def share_cut_for_all(mean: NDArray[np.float64], terms: Terms, *, members: int) -> float:
    """Of the weights that move, the share at which the change of every data owner was cut; 0 if that cannot be told.

    Parameters
    ----------
    mean : float64 array, shape (d,), in [-c, c]
        Mean update of the data owners that are learnt from.
    members : int, > 0
        How many they are.
    """
    blur = members / steps_per_clip(terms.update_bits)  # each of them rounds by a step at most
    if blur > MOST_BLUR:
        return 0.0
    clips = mean[:: -(-mean.size // MOST_LOOKED_AT)] * (members / terms.clip)
    # A sum of zero may be as many cut upwards as downwards, but is rather a weight that nobody's training reaches.
    moved = clips[np.abs(clips) > blur] - members
    return float(np.mean(np.abs(moved - 2 * np.round(moved / 2)) <= blur)) if moved.size else 0.0
