"""The attack on data: an honest training on false labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import TermsError

Label = TypeVar("Label", bound=np.integer)


def flip_labels(labels: NDArray[Label], classes: int, *, mapping: Mapping[int, int] | None = None) -> NDArray[Label]:
    """Labels of which some or all are false; train on them and send what comes out.

    Biggio, Nelson, Laskov, "Poisoning Attacks against Support Vector Machines", ICML 2012; in federated learning Tolpegin et al.,
    "Data Poisoning Attacks Against Federated Learning Systems", ESORICS 2020, which flips one class to another, and Fang et al.,
    "Local Model Poisoning Attacks to Byzantine-Robust Federated Learning", USENIX Security 2020, which mirrors all.

    Parameters
    ----------
    labels : integer array, any shape, in [0, classes)
    classes : int
        How many there are.
    mapping : mapping of int to int, optional
        What becomes of which label; others stay. Without it label l becomes ``classes - 1 - l``.

    Returns
    -------
    array of the same dtype and shape

    Raises
    ------
    TermsError
        A label, or what it would become, is none of the classes.
    """
    table = np.arange(classes)[::-1].copy() if mapping is None else np.arange(classes)
    pairs = {} if mapping is None else mapping
    wrong = [label for pair in pairs.items() for label in pair if not 0 <= label < classes]
    wrong += [int(label) for label in np.unique(labels) if not 0 <= label < classes]
    if wrong:
        raise TermsError(f"label {wrong[0]} is none of {classes} classes, expected 0 to {classes - 1}; give the number of all classes")
    for label, false in pairs.items():
        table[label] = false
    flipped: NDArray[Label] = table[labels].astype(labels.dtype)
    return flipped
