"""Which apps there are, and what a market for each needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omnilytics_flwr import Address, Terms

from ..market import Market
from .patches import FilePatch, read_patch

HERE = Path(__file__).parent
MARKET_PATCH = "market"
REPEAT_PATCH = "repeat"
"""Fixes seeds, has everybody train, and forks no process out of one with threads: for runs that can be compared."""

GROUP_SIZE, FAULTY_GROUPS = 3, 1
OWNERS = GROUP_SIZE * (2 * FAULTY_GROUPS + 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One of Flower's quickstarts.

    Attributes
    ----------
    name : str
    folder : str
        Among Flower's examples.
    data : str
        The data set that it loads, which is replaced by a small one of the same columns.
    weights : int
        d of its model; `python -m runs.plugin terms` finds it for any app.
    clip : float
        Largest change of a weight in a round.
    longest_mean : float
        Largest L2 norm of a group's mean update.
    metrics : tuple of str
        What data owners tell besides their update.
    run_config : mapping of str to scalar
        For ``flwr run --run-config``, where the small data want other settings than the example's own.
    model_file : str
        Where the example saves its model.
    """

    name: str
    folder: str
    data: str
    weights: int
    clip: float
    longest_mean: float
    metrics: tuple[str, ...]
    run_config: Mapping[str, float | int | str] = field(default_factory=dict)
    model_file: str

    def patch(self, kind: str = MARKET_PATCH) -> tuple[FilePatch, ...]:
        """A patch of this example, by its kind."""
        return read_patch((HERE / self.name / f"{kind}.patch").read_text(encoding="utf-8"))

    @property
    def rounds(self) -> int:
        """Rounds of a run."""
        return int(self.run_config["num-server-rounds"])

    def terms(self, verification: Address) -> Terms:
        """Terms of a market for this example, given the address of the verification contract."""
        market = Market(
            verification="exact",
            group_size=GROUP_SIZE,
            faulty_groups=FAULTY_GROUPS,
            update_bits=16,
            clip=self.clip,
            longest_mean=self.longest_mean,
            reward_wei=10**15,
            bond_wei=10**17,
        )
        return market.terms(self.weights, owners=OWNERS, rounds=self.rounds, metrics=self.metrics)(verification)


EXAMPLES = {
    example.name: example
    for example in (
        Example(
            name="pytorch",
            folder="quickstart-pytorch",
            data="uoft-cs/cifar10",
            weights=62_006,
            clip=0.5,
            longest_mean=20.0,
            metrics=("train_loss", "eval_loss", "eval_acc", "num-examples"),
            run_config={"num-server-rounds": 6, "local-epochs": 2, "learning-rate": 0.01, "batch-size": 16},
            model_file="final_model.pt",
        ),
        Example(
            name="sklearn",
            folder="quickstart-sklearn",
            data="hitorilabs/iris",
            weights=15,
            clip=2.0,
            longest_mean=10.0,
            metrics=("train_logloss", "train_accuracy", "test_logloss", "accuracy", "num-examples"),
            run_config={"num-server-rounds": 6},
            model_file="logreg_model.pkl",
        ),
        Example(
            name="jax",
            folder="quickstart-jax",
            data="ylecun/mnist",
            weights=107_786,
            clip=0.5,
            longest_mean=20.0,
            metrics=("train_loss", "train_acc", "eval_loss", "eval_acc", "num-examples"),
            run_config={"num-server-rounds": 5, "learning-rate": 0.01, "batch-size": 16},
            model_file="final_model.npz",
        ),
    )
}
