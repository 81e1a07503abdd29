"""The data owners, in a process that is not the model owner's; such a process finds no functions of a ``__main__``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from omnilytics_flwr import OwnerHome
from omnilytics_flwr.data_owner.owner_agent import MaskedUpdate, SignedCommitment
from omnilytics_flwr.market.task import TaskId

SPREAD = 0.01
"""Standard deviation of the changes that are drawn."""


def commit(home: Path, task: TaskId, weights: int, seed: list[int]) -> SignedCommitment:
    """What a data owner commits to."""
    return OwnerHome.open(home).agent().commit(task, np.random.default_rng(seed).normal(0.0, SPREAD, weights))


def deliver(home: Path, task: TaskId, digests: tuple[bytes, ...], path: Path) -> MaskedUpdate:
    """A data owner's delivery, whose vector goes to a file: it is handed over one by one, as Flower does it."""
    made = OwnerHome.open(home).agent().deliver(task.chain_id, task.market, task.epoch, task.round, digests)
    path.write_bytes(made.vector)
    return replace(made, vector=b"")
