"""What a poisoning data owner does instead of training honestly.

``sign-flip`` and ``noise`` change the update that an honest training gave; ``label-flip`` trains on
false labels and changes nothing afterwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def poison(
    received: list[NDArray[np.float32]],
    trained: list[NDArray[np.float32]],
    *,
    kind: str,
    scale: float,
    rng: np.random.Generator,
) -> list[NDArray[np.float32]]:
    """Return the weights that an attacker sends in place of those it trained.

    Parameters
    ----------
    received : list of float32 arrays
        The public part as the round began.
    trained : list of float32 arrays of the same shapes
        The public part after honest training.
    kind : str
        ``sign-flip``: the update times -`scale`. ``noise``: normal noise `scale` times as long as the
        update. ``label-flip``: `trained` itself, as the poison was in the labels.
    scale : float
        Above 0.
    rng : numpy.random.Generator
        Draws the noise.

    Returns
    -------
    list of float32 arrays of the same shapes

    Raises
    ------
    ValueError
        `kind` is none of the three.
    """
    update = [new - old for new, old in zip(trained, received, strict=True)]
    if kind == "sign-flip":
        sent = [-scale * part for part in update]
    elif kind == "noise":
        length = np.sqrt(sum(float(np.sum(np.square(part, dtype=np.float64))) for part in update))
        deviation = scale * length / np.sqrt(sum(part.size for part in update))
        sent = [rng.normal(0.0, deviation, part.shape) for part in update]
    elif kind == "label-flip":
        sent = update
    else:
        raise ValueError(f"{kind!r} is no kind of attack; expected sign-flip, noise or label-flip")
    return [(old + part).astype(np.float32) for old, part in zip(received, sent, strict=True)]
