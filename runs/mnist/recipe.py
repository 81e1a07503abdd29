"""The recipe of a run: every knob, read from ``config.toml``, unknown and missing keys refused.

A section of the file is one frozen dataclass here; its fields are the keys that the section must
have. To add a section, write its dataclass and name it in `Recipe`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..market import Market
from ..recipes import RecipeError, read_recipe, require

__all__ = ["DEFAULT_PATH", "Attack", "Data", "Market", "Recipe", "RecipeError", "Training", "load_recipe"]

DEFAULT_PATH = Path(__file__).with_name("config.toml")


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    """Which digits there are and who has them; each number's unit and bounds are in ``config.toml``."""

    source: str
    folder: str
    download_timeout_seconds: float
    train_samples: int
    test_samples: int
    model_owner_samples: int
    owners: int
    dirichlet_alpha: float
    smallest_share: int

    def __post_init__(self) -> None:
        """Refuse what no split can satisfy."""
        require(self.source in ("auto", "torchvision", "npm"), "data.source", self.source, "auto, torchvision or npm")
        require(self.download_timeout_seconds > 0, "data.download_timeout_seconds", self.download_timeout_seconds, "above 0")
        require(self.train_samples >= 1, "data.train_samples", self.train_samples, "at least 1")
        require(self.test_samples >= 1, "data.test_samples", self.test_samples, "at least 1")
        require(self.owners >= 1, "data.owners", self.owners, "at least 1")
        require(self.dirichlet_alpha > 0, "data.dirichlet_alpha", self.dirichlet_alpha, "above 0")
        require(self.smallest_share >= 1, "data.smallest_share", self.smallest_share, "at least 1")
        require(self.model_owner_samples >= 10, "data.model_owner_samples", self.model_owner_samples, "at least 10")
        left = self.train_samples - self.model_owner_samples
        needed = self.owners * self.smallest_share
        # Shares are drawn until none is too small; near the bound that would take forever.
        require(2 * needed <= left, "data.smallest_share", self.smallest_share, f"at most {left // (2 * self.owners)}")


@dataclasses.dataclass(frozen=True, slots=True)
class Training:
    """How models are trained."""

    rounds: int
    local_epochs: int
    learning_rate: float
    batch_size: int
    pretrain_epochs: int
    pretrain_learning_rate: float
    refit_epochs: int
    refit_learning_rate: float

    def __post_init__(self) -> None:
        """Refuse counts and rates without meaning."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            require(value > 0, f"training.{field.name}", value, "above 0")


@dataclasses.dataclass(frozen=True, slots=True)
class Attack:
    """Who poisons, and how."""

    kind: str
    scale: float
    attackers: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse unknown kinds."""
        require(self.kind in ("sign-flip", "noise", "label-flip"), "attack.kind", self.kind, "sign-flip, noise or label-flip")
        require(self.scale > 0, "attack.scale", self.scale, "above 0")
        require(len(set(self.attackers)) == len(self.attackers), "attack.attackers", self.attackers, "each owner once")


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """All knobs of a run."""

    seed: int
    data: Data
    training: Training
    attack: Attack
    market: Market

    def __post_init__(self) -> None:
        """Refuse sections that do not fit each other."""
        require(self.seed >= 0, "seed", self.seed, "at least 0")
        for attacker in self.attack.attackers:
            require(0 <= attacker < self.data.owners, "attack.attackers", attacker, f"0 to {self.data.owners - 1}")


def load_recipe(path: Path = DEFAULT_PATH) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : Path (default: the ``config.toml`` beside this file)

    Returns
    -------
    Recipe

    Raises
    ------
    RecipeError
        A key is unknown, missing, of another type, or out of its bounds.
    """
    return read_recipe(Recipe, path)
