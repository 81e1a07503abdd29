"""The recipe of the run: every knob, read from ``config.toml``, unknown and missing keys refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..market import Market as CommonMarket
from ..recipes import read_recipe

DEFAULT_PATH = Path(__file__).with_name("config.toml")


@dataclass(frozen=True, slots=True)
class Training:
    """How data owners train; units are in ``config.toml``."""

    local_epochs: int
    learning_rate: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class Market(CommonMarket):
    """Terms of the market, with what a dispute costs and how long there is for one."""

    accuse_fee_wei: int
    accuse_seconds: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """All knobs."""

    seed: int
    owners: int
    rounds: int
    digits: int
    test_digits: int
    victim: int
    victim_round: int
    training: Training
    market: Market

    def run_config(self, *, market: bool) -> dict[str, object]:
        """Run config of the app, in the market or plain."""
        return {
            "market": market,
            "num-server-rounds": self.rounds,
            "seed": self.seed,
            "local-epochs": self.training.local_epochs,
            "learning-rate": self.training.learning_rate,
            "batch-size": self.training.batch_size,
        }


def load_recipe(path: Path = DEFAULT_PATH) -> Recipe:
    """Read and check a recipe; raises `RecipeError`."""
    return read_recipe(Recipe, path)
