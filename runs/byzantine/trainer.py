"""What data owners' trainings give, each computed once: the same model, round and data give the same update."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray

from omnilytics_flwr.adversary.labels import flip_labels

from ..digits import CLASSES
from ..mnist.data import load
from ..mnist.model import Net, accuracy, initial_model, pretrain, train
from .recipe import Recipe

__all__ = ["Trainer"]

Weights = NDArray[np.float32]
MOST_KEPT = 1200
"""Trained models that are remembered, 82 kB each."""


class Trainer:
    """Trains for all data owners of a recipe.

    Parameters
    ----------
    recipe : Recipe
        With its data source resolved.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._digits = load(recipe.digits())
        self._kept: OrderedDict[tuple[object, ...], Weights] = OrderedDict()

    @property
    def examples(self) -> NDArray[np.int64]:
        """Digits that each data owner has."""
        return np.array([len(share) for share in self._digits.owners])

    def start(self) -> Weights:
        """The model owner's model before the first round: trained on its own few digits."""
        settings, model = self._recipe.training, initial_model(self._recipe.seed)
        generator = torch.Generator().manual_seed(self._recipe.seed)
        images, labels = self._digits.of_model_owner()
        pretrain(model, images, labels, epochs=settings.pretrain_epochs, lr=settings.pretrain_learning_rate, generator=generator)
        return _flat(model)

    def update(self, weights: Weights, number: int, owner: int, *, flipped: bool = False) -> NDArray[np.float64]:
        """Update of an owner in a round, from its own labels or from false ones.

        Parameters
        ----------
        weights : float32 array, shape (d,)
            The model that the round begins with.
        number : int
            Round, from 1.
        owner : int
        flipped : bool
            Whether label l reads 9 - l.

        Returns
        -------
        float64 array, shape (d,)
        """
        key = (hashlib.sha256(weights.tobytes()).digest(), number, owner, flipped)
        if key not in self._kept:
            self._kept[key] = self._train(weights, number, owner, flipped)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return self._kept[key].astype(np.float64) - weights.astype(np.float64)

    def accuracy(self, weights: Weights) -> float:
        """Share of the test digits that a model finds; of a model with NaN or infinity, what a guess finds."""
        if not np.isfinite(weights).all():
            return 1 / CLASSES
        return accuracy(_model(weights), self._digits.test_images, self._digits.test_labels)

    def _train(self, weights: Weights, number: int, owner: int, flipped: bool) -> Weights:
        settings, model = self._recipe.training, _model(weights)
        images, labels = self._digits.of_owner(owner)
        if flipped:
            labels = torch.from_numpy(flip_labels(labels.numpy(), CLASSES))
        generator = torch.Generator().manual_seed(self._recipe.seed * 10_000 + number * 100 + owner)
        train(
            model,
            images,
            labels,
            epochs=settings.local_epochs,
            lr=settings.learning_rate,
            batch_size=settings.batch_size,
            generator=generator,
        )
        return _flat(model)


def _flat(model: Net) -> Weights:
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()


def _model(weights: Weights) -> Net:
    model = Net()
    torch.nn.utils.vector_to_parameters(torch.from_numpy(weights.copy()), model.parameters())
    return model
