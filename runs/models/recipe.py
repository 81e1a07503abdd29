"""The recipe of this run, read from ``config.toml``; units and bounds are said there."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from omnilytics_flwr.adversary.registry import Family, attack_named

from ..market import VERIFICATIONS
from ..recipes import read_recipe, require

DEFAULT_PATH = Path(__file__).with_name("config.toml")
LEAST_OWNERS, MOST_DIGITS = 15, 10_000


@dataclass(frozen=True, slots=True)
class Training:
    """One model: its markets, how it is trained, and what a market may add."""

    verifications: tuple[str, ...]
    accusations: bool
    rounds: int
    samples: int
    local_epochs: int
    batch_size: int
    learning_rate: float
    pretrain_epochs: int
    most_client_cpu_seconds: float
    most_client_mib: float
    most_server_cpu_seconds: float
    most_server_mib: float

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name in (field.name for field in fields(self) if field.name not in ("verifications", "accusations")):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        require(self.samples % self.batch_size == 0, "samples", self.samples, "whole batches")
        for name in self.verifications:
            require(name in VERIFICATIONS, "verifications", name, f"one of {', '.join(VERIFICATIONS)}")


@dataclass(frozen=True, slots=True)
class Promises:
    """What holds for all models."""

    accuracy_points: float
    settle_gas_ratio: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """All knobs of the run; one section for each of `networks.NETWORKS`."""

    seed: int
    owners: int
    test_samples: int
    model_owner_samples: int
    attack: str
    attackers: tuple[int, ...]
    promises: Promises
    cnn: Training
    lora: Training
    dense: Training
    resnet18: Training

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        attack_named(self.attack, Family.UPDATE)
        require(self.owners >= LEAST_OWNERS, "owners", self.owners, f"at least {LEAST_OWNERS}")
        require(all(0 <= owner < self.owners for owner in self.attackers), "attackers", self.attackers, f"0 to {self.owners - 1}")
        for name in MODELS:
            needed = self.owners * self.training(name).samples + self.test_samples + self.model_owner_samples
            require(needed <= MOST_DIGITS, f"{name}.samples", self.training(name).samples, f"at most {MOST_DIGITS} digits in all")

    def training(self, model: str) -> Training:
        """The section of a model."""
        section: Training = getattr(self, model)
        return section


MODELS = tuple(field.name for field in fields(Recipe) if field.type == "Training")


def load_recipe(path: Path = DEFAULT_PATH) -> Recipe:
    """Read and check a recipe; raises `RecipeError`."""
    return read_recipe(Recipe, path)
