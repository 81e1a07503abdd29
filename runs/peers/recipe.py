"""The recipe of a run: every knob, read from ``config.toml``, unknown and missing keys refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..recipes import read_recipe, require

DEFAULT_PATH = Path(__file__).with_name("config.toml")
PEERS = ("fedavg", "multikrum", "secagg+", "exact", "projected")
"""Plain FedAvg, Flower's MultiKrum and SecAgg+, and the market with either proof."""
MARKETS = PEERS[3:]


@dataclass(frozen=True, slots=True)
class Cost:
    """A model of so many weights, and whom it is trained with."""

    weights: int
    owners: int
    peers: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse peers that there are not."""
        _require_peers("costs.peers", self.peers)


@dataclass(frozen=True, slots=True)
class DigitsCase:
    """Real training, and one data owner that poisons it."""

    owners: int
    rounds: int
    local_epochs: int
    poisoner: int
    loudness: float


@dataclass(frozen=True, slots=True)
class NoiseCase:
    """Changes by noise, whose honest mean is known, and one data owner that is louder."""

    weights: int
    owners: int
    poisoner: int
    loudness: float
    spreads: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SilenceCase:
    """A data owner that falls silent within a round."""

    weights: int
    owners: int
    silent: int
    peers: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse peers that there are not."""
        _require_peers("silence.peers", self.peers)


@dataclass(frozen=True, slots=True)
class SecAgg:
    """Settings of Flower's `SecAggPlusWorkflow`."""

    shares: float
    threshold: float
    max_weight: float


@dataclass(frozen=True, slots=True)
class Published:
    """Gas of a round that others publish."""

    system: str
    source: str
    owners: int
    gas: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """All knobs of a run."""

    workers: int
    costs: tuple[Cost, ...]
    digits: DigitsCase
    noise: NoiseCase
    silence: SilenceCase
    secagg: SecAgg
    published: tuple[Published, ...]

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        require(self.workers >= 1, "workers", self.workers, "at least 1")
        for case in (self.digits, self.noise):
            require(0 <= case.poisoner < case.owners, "poisoner", case.poisoner, f"0 to {case.owners - 1}")
        require(0 <= self.silence.silent < self.silence.owners, "silence.silent", self.silence.silent, f"0 to {self.silence.owners - 1}")


def load_recipe(path: Path = DEFAULT_PATH) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    RecipeError
        A key is unknown, missing, of another type, or out of its bounds.
    """
    return read_recipe(Recipe, path)


def _require_peers(name: str, peers: tuple[str, ...]) -> None:
    require(set(peers) <= set(PEERS), name, peers, f"some of {', '.join(PEERS)}")
