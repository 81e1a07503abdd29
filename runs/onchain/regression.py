"""Logistic regression on digits of 14 x 14 pixels, in numpy: 1,970 weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..digits import CLASSES, SIDE, read_npm_digits

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

PIXELS = (SIDE // 2) ** 2
WEIGHTS = (PIXELS + 1) * CLASSES


@dataclass(frozen=True, slots=True)
class Digits:
    """Pixels with a constant 1 behind them, shape (n, 197), and labels, shape (n,)."""

    images: Floats
    labels: Labels


def load_shares(*, owners: int, each: int, test: int, seed: int) -> tuple[tuple[Digits, ...], Digits]:
    """Digits of each data owner, and those to test on; all different."""
    pixels, labels = read_npm_digits()
    chosen = np.random.default_rng(seed).permutation(len(labels))[: owners * each + test]
    coarse = pixels[chosen].reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4)) / 255
    images = np.concatenate([coarse.reshape(len(chosen), PIXELS), np.ones((len(chosen), 1))], axis=1)
    parts = [Digits(images[i : i + each], labels[chosen[i : i + each]]) for i in range(0, owners * each, each)]
    return tuple(parts), Digits(images[owners * each :], labels[chosen[owners * each :]])


def trained(weights: Floats, digits: Digits, *, epochs: int, lr: float, batch_size: int, seed: list[int]) -> Floats:
    """Weights after stochastic gradient descent; the same seed gives the same.

    Parameters
    ----------
    weights : float64 array, shape (1970,)
    """
    model, rng = weights.reshape(PIXELS + 1, CLASSES).copy(), np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(digits.labels))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            images = digits.images[batch]
            errors = _probabilities(images @ model)
            errors[np.arange(len(batch)), digits.labels[batch]] -= 1
            model -= lr / len(batch) * images.T @ errors
    return model.reshape(-1)


def accuracy(weights: Floats, digits: Digits) -> float:
    """Share of the digits that are recognised."""
    scores = digits.images @ weights.reshape(PIXELS + 1, CLASSES)
    return float((scores.argmax(axis=1) == digits.labels).mean())


def _probabilities(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
