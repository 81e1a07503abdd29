"""The recipe of the run: every knob, read from ``config.toml``, unknown and missing keys refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnilytics_flwr import Address, Terms
from omnilytics_flwr.adversary.colluding import DirectedDeviation, InnerProduct, JustAccepted, LittleIsEnough
from omnilytics_flwr.adversary.registry import Family, attack_named
from omnilytics_flwr.adversary.updates import BeyondClip, Constant, Echo, Noise, NotANumber, Scaled, SignFlip, Stale, Zero
from omnilytics_flwr.adversary.vectors import HalfOutOfRange, Isotropic, OutOfRange, Unmasked
from omnilytics_flwr.market.terms import default_of

from ..market import Market
from ..mnist.model import initial_model
from ..mnist.recipe import Data
from ..mnist.recipe import Recipe as Digits
from ..mnist.recipe import load_recipe as load_mnist_recipe
from ..recipes import read_recipe, require

DEFAULT_PATH = Path(__file__).with_name("config.toml")

ANY_VERIFICATION = Address("0x" + "0" * 39 + "1")
"""Stands in the terms of a market that is only reckoned with."""


@dataclass(frozen=True, slots=True)
class Training:
    """How models are trained; units are in ``config.toml``."""

    rounds: int
    local_epochs: int
    learning_rate: float
    batch_size: int
    pretrain_epochs: int
    pretrain_learning_rate: float

    def __post_init__(self) -> None:
        """Refuse counts and rates without meaning."""
        for field in dataclasses.fields(self):
            require(getattr(self, field.name) > 0, f"training.{field.name}", getattr(self, field.name), "above 0")


@dataclass(frozen=True, slots=True)
class Crowds:
    """Places of the attackers, by the name of the crowd."""

    two: tuple[int, ...]
    three: tuple[int, ...]
    six: tuple[int, ...]

    def by_name(self) -> dict[str, tuple[int, ...]]:
        """All crowds in their order."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True, slots=True)
class Confirm:
    """What is repeated on a chain."""

    crowd: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is trained under other rules besides."""

    crowd: str
    outlier_percents: tuple[int, ...]
    calm_seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Misdeeds:
    """The small markets in which one owner breaks the protocol."""

    owners: int
    faulty_groups: int


@dataclass(frozen=True, slots=True)
class LabelFlip:
    """Marks the attack on labels, which is no function of an update."""


@dataclass(frozen=True, slots=True)
class Attacks:
    """Every attack with its strength."""

    sign_flip: SignFlip
    scaled: Scaled
    noise: Noise
    constant: Constant
    zero: Zero
    stale: Stale
    echo: Echo
    label_flip: LabelFlip
    little_is_enough: LittleIsEnough
    inner_product: InnerProduct
    directed_deviation: DirectedDeviation
    just_accepted: JustAccepted
    nan: NotANumber
    beyond_clip: BeyondClip
    out_of_range: OutOfRange
    half_out_of_range: HalfOutOfRange
    isotropic: Isotropic
    unmasked: Unmasked

    def by_name(self) -> dict[str, Any]:
        """All attacks in their order, by their names in the kit."""
        return {field.name.replace("_", "-"): getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """All knobs of a run."""

    seed: int
    workers: int
    data: Data
    training: Training
    market: Market
    crowds: Crowds
    confirm: Confirm
    sweep: Sweep
    misdeeds: Misdeeds
    attacks: Attacks

    def __post_init__(self) -> None:
        """Refuse sections that do not fit each other."""
        require(self.seed >= 0, "seed", self.seed, "at least 0")
        require(self.workers >= 1, "workers", self.workers, "at least 1")
        crowds, few = self.crowds.by_name(), self.misdeeds
        # All the groups that a round needs, and one that may stay away.
        least = self.market.group_size * (2 * few.faulty_groups + 4)
        require(least <= few.owners <= self.data.owners, "misdeeds.owners", few.owners, f"{least} to {self.data.owners}")
        require(self.confirm.crowd in crowds, "confirm.crowd", self.confirm.crowd, f"one of {', '.join(crowds)}")
        require(self.sweep.crowd in crowds, "sweep.crowd", self.sweep.crowd, f"one of {', '.join(crowds)}")
        usual = default_of("outlier_percent")
        require(usual in self.sweep.outlier_percents, "sweep.outlier_percents", self.sweep.outlier_percents, f"{usual} among them")
        for name, places in crowds.items():
            fits = bool(places) and len(set(places)) == len(places) and all(0 <= place < self.data.owners for place in places)
            require(fits, f"crowds.{name}", places, f"different places from 0 to {self.data.owners - 1}, at least one")

    def digits(self) -> Digits:
        """The recipe of the MNIST run with this split, for `runs.mnist.data.load`."""
        return dataclasses.replace(load_mnist_recipe(), seed=self.seed, data=self.data)


def terms_of(recipe: Recipe, *, rounds: int, weights: int | None = None) -> Callable[[Address], Terms]:
    """Terms given the address of the verification; `weights` if not those of the whole model."""
    model = initial_model(recipe.seed).state_dict() if weights is None else weights
    return recipe.market.terms(model, owners=recipe.data.owners, rounds=rounds)


def family_of(name: str) -> Family:
    """What an attack takes hold of."""
    return attack_named(name).family


def load_recipe(path: Path = DEFAULT_PATH) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    RecipeError
        A key is unknown, missing, of another type, or out of its bounds.
    TermsError
        A strength is one that an attack can't have.
    """
    return read_recipe(Recipe, path)
