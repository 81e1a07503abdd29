"""What is trained, the same for every peer: added blocks, noise whose honest mean is known, and digits.

Each is a frozen dataclass that travels to the client processes. `start` is the model before the first round, `app` the data owners' app,
`typical` what an honest round makes of the model (a market's clip follows from it), and `judge` says what a final model came to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable
from numpy.typing import NDArray

from ..mnist.app import client_app, load_model, model_arrays
from ..mnist.data import load
from ..mnist.model import accuracy
from ..mnist.recipe import Recipe as DigitsRecipe
from ..mnist.recipe import load_recipe as load_digits_recipe
from ..mnist.trainings import pretrained
from .recipe import DigitsCase, NoiseCase

Floats = NDArray[np.float32]
Mod = Callable[[Message, Context, ClientAppCallable], Message]

STEP = 1e-3
"""What a data owner adds to its block."""
EXAMPLES = 1_000
"""Of every data owner, where nothing is trained: as many as SecAgg+ is told that there are at most, for it to be as exact as it can."""
NAME = "weights"


class Lesson(Protocol):
    """Something to train."""

    @property
    def owners(self) -> int:
        """Data owners."""

    def start(self) -> ArrayRecord:
        """The model before the first round."""

    def typical(self) -> ArrayRecord | None:
        """The model after an honest round of one data owner; None if the usual clip fits."""

    def app(self, mods: list[Mod]) -> ClientApp:
        """The data owners' app."""

    def judge(self, arrays: ArrayRecord) -> dict[str, float]:
        """What a final model came to."""


@dataclass(frozen=True)
class Blocks:
    """Data owner i adds a constant to weights i, i + n, i + 2n, so that the mean shows whose updates are in it."""

    weights: int
    owners: int

    def start(self) -> ArrayRecord:
        """All zero."""
        return _record(np.zeros(self.weights, np.float32))

    def typical(self) -> ArrayRecord:
        """What owner 0 sends."""
        return _record(self._trained(self.start()[NAME].numpy(), 0))

    def app(self, mods: list[Mod]) -> ClientApp:
        """The data owners' app."""
        return _app(self._trained, mods)

    def judge(self, arrays: ArrayRecord) -> dict[str, float]:
        """Of how many data owners the updates are in the mean."""
        weights = arrays[NAME].numpy()
        # An update that is in the mean of n moves its block by a whole step / n at least; quantisation by far less.
        there = sum(abs(float(weights[owner :: self.owners].mean())) > STEP / (2 * self.owners) for owner in range(self.owners))
        return {"learnt_from": there}

    def _trained(self, weights: Floats, owner: int) -> Floats:
        new = weights.copy()
        new[owner :: self.owners] += np.float32(STEP)
        return new


@dataclass(frozen=True)
class Noise:
    """Standard normal weights that every data owner changes by normal noise, the poisoner by a constant shift that is louder.

    The shift is `loudness` times as long as an honest change. Its direction is the same in every weight, so that it stays in the mean.
    """

    case: NoiseCase
    spread: float

    @property
    def owners(self) -> int:
        """Data owners."""
        return self.case.owners

    def start(self) -> ArrayRecord:
        """The same for everybody."""
        return _record(np.random.default_rng(0).standard_normal(self.case.weights).astype(np.float32))

    def typical(self) -> ArrayRecord:
        """What an honest data owner sends."""
        return _record(self._trained(self.start()[NAME].numpy(), (self.case.poisoner + 1) % self.owners))

    def app(self, mods: list[Mod]) -> ClientApp:
        """The data owners' app."""
        return _app(self._trained, mods)

    def judge(self, arrays: ArrayRecord) -> dict[str, float]:
        """How far the mean update is from the honest data owners', in lengths of an honest update."""
        start = self.start()[NAME].numpy().astype(np.float64)
        honest = [self._change(owner) for owner in range(self.owners) if owner != self.case.poisoner]
        error = arrays[NAME].numpy() - start - np.mean(honest, axis=0)
        return {"error": float(np.linalg.norm(error) / np.linalg.norm(honest[0]))}

    def _change(self, owner: int) -> NDArray[np.float64]:
        if owner == self.case.poisoner:
            return np.full(self.case.weights, self.case.loudness * self.spread)
        return np.random.default_rng(1 + owner).normal(0.0, self.spread, self.case.weights)

    def _trained(self, weights: Floats, owner: int) -> Floats:
        return (weights + self._change(owner)).astype(np.float32)


@dataclass(frozen=True)
class Digits:
    """The digits of ``runs/mnist``, trained for real."""

    recipe: DigitsRecipe
    attacked: bool

    @property
    def owners(self) -> int:
        """Data owners."""
        return self.recipe.data.owners

    def start(self) -> ArrayRecord:
        """The model owner's own model."""
        return model_arrays(pretrained(self.recipe))

    def typical(self) -> None:
        """The usual clip fits, as it does in runs/mnist."""

    def app(self, mods: list[Mod]) -> ClientApp:
        """The data owners' app."""
        return client_app(self.recipe, mods=mods, attacked=self.attacked)

    def judge(self, arrays: ArrayRecord) -> dict[str, float]:
        """Share of the test digits that are recognised."""
        digits = load(self.recipe)
        return {"accuracy": accuracy(load_model(arrays), digits.test_images, digits.test_labels)}


def digits_of(case: DigitsCase, *, attacked: bool) -> Digits:
    """The digits among the data owners of the case."""
    usual = load_digits_recipe()
    recipe = replace(
        usual,
        data=replace(usual.data, source="npm", owners=case.owners),
        training=replace(usual.training, rounds=case.rounds, local_epochs=case.local_epochs),
        attack=replace(usual.attack, kind="sign-flip", scale=case.loudness, attackers=(case.poisoner,)),
    )
    return Digits(recipe, attacked)


def _record(weights: Floats) -> ArrayRecord:
    return ArrayRecord({NAME: Array(weights)})


def _app(trained: Callable[[Floats, int], Floats], mods: list[Mod]) -> ClientApp:
    """An app whose training is a function of weights and data owner."""
    app = ClientApp(mods=mods)

    @app.train()
    def train(msg: Message, context: Context) -> Message:
        new = trained(msg.content.array_records["arrays"][NAME].numpy(), int(context.node_config["partition-id"]))
        metrics = MetricRecord({"num-examples": EXAMPLES})
        return Message(RecordDict({"arrays": _record(new), "metrics": metrics}), reply_to=msg)

    return app
