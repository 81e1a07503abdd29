"""Who has which digits: equal shares, drawn by the seed, no digit twice."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..digits import read_npm_digits


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """Images, float32 of shape (n, 1, 28, 28) in [0, 1], and labels, int64 of shape (n,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """What each data owner has, what the model owner has, and what nobody trains on."""

    owners: tuple[Share, ...]
    model_owner: Share
    test: Share


@functools.lru_cache(maxsize=1)
def load_shares(*, owners: int, each: int, model_owner: int, test: int, seed: int) -> Shares:
    """Digits of everybody; the same arguments give the same.

    Raises
    ------
    DataMissingError
        The digits are not on this machine.
    """
    pixels, labels = read_npm_digits()
    sizes = [each] * owners + [model_owner, test]
    order = np.random.default_rng(seed).permutation(len(labels))[: sum(sizes)]
    images = torch.from_numpy(pixels[order].astype(np.float32) / 255).unsqueeze(1)
    parts = zip(torch.split(images, sizes), torch.split(torch.from_numpy(labels[order]), sizes), strict=True)
    *shares, own, left = (Share(*part) for part in parts)
    return Shares(tuple(shares), own, left)
