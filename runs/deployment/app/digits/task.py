"""The model and its training, in numpy alone: a client process lives for one message and should start quickly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Model = dict[str, Floats]

PIXELS, HIDDEN, CLASSES = 784, 8, 10


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Digits and their labels.

    Attributes
    ----------
    images : float32 array, shape (n, 784), in [0, 1]
    labels : int64 array, shape (n,), in [0, 10)
    """

    images: Floats
    labels: NDArray[np.int64]


def read_digits(path: Path) -> Digits:
    """The digits of one party, from its own file."""
    with np.load(path) as file:
        return Digits(file["images"].astype(np.float32) / np.float32(255), file["labels"].astype(np.int64))


def initial_model(seed: int) -> Model:
    """The weights that training starts from."""
    rng = np.random.default_rng(seed)
    return {
        "hidden.weight": rng.normal(0, np.sqrt(2 / PIXELS), (PIXELS, HIDDEN)).astype(np.float32),
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "output.weight": rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, CLASSES)).astype(np.float32),
        "output.bias": np.zeros(CLASSES, np.float32),
    }


def train(model: Model, digits: Digits, *, epochs: int, lr: float, batch_size: int, rng: np.random.Generator) -> tuple[Model, float]:
    """Stochastic gradient descent on the cross entropy.

    Returns
    -------
    Model
        A new one.
    float
        Mean loss over the last pass.
    """
    weights = {name: value.copy() for name, value in model.items()}
    total = 0.0
    for _ in range(epochs):
        total = 0.0
        for batch in np.array_split(rng.permutation(len(digits.labels)), max(len(digits.labels) // batch_size, 1)):
            images, labels = digits.images[batch], digits.labels[batch]
            hidden, probabilities = _forward(weights, images)
            total -= float(np.log(probabilities[np.arange(len(batch)), labels] + 1e-9).sum())
            error = probabilities
            error[np.arange(len(batch)), labels] -= 1
            error /= len(batch)
            back = (error @ weights["output.weight"].T) * (hidden > 0)
            for name, gradient in (
                ("output.weight", hidden.T @ error),
                ("output.bias", error.sum(axis=0)),
                ("hidden.weight", images.T @ back),
                ("hidden.bias", back.sum(axis=0)),
            ):
                weights[name] -= np.float32(lr) * gradient.astype(np.float32)
    return weights, total / len(digits.labels)


def accuracy(model: Model, digits: Digits) -> float:
    """Share of the digits that the model names rightly."""
    _, probabilities = _forward(model, digits.images)
    return float((probabilities.argmax(axis=1) == digits.labels).mean())


def _forward(weights: Model, images: Floats) -> tuple[Floats, Floats]:
    hidden = np.maximum(images @ weights["hidden.weight"] + weights["hidden.bias"], 0)
    scores = hidden @ weights["output.weight"] + weights["output.bias"]
    scores -= scores.max(axis=1, keepdims=True)
    exponentials = np.exp(scores)
    return hidden, exponentials / exponentials.sum(axis=1, keepdims=True)
