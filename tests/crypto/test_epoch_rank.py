"""What the model owner can solve for: it learns one sum for each group and round, never as many different ones as members."""

from __future__ import annotations

import numpy as np

from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.market.draw import cut_groups, draw_order
from omnilytics_flwr.market.terms import Address

OWNERS = {seat: Address("0x" + keccak256(word(seat))[12:].hex()) for seat in range(15)}
ROUNDS = 8


def incidence(seeds: list[bytes]) -> np.ndarray:  # type: ignore[type-arg]
    """One row for each group and round, one column for each member."""
    groups = [group for seed in seeds for group in cut_groups(draw_order(seed, OWNERS), 3)]
    return np.array([[group >> seat & 1 for seat in OWNERS] for group in groups], dtype=float)


def test_group_sums_of_one_epoch_have_the_rank_of_its_groups() -> None:
    epoch_seed = keccak256(b"epoch")

    assert np.linalg.matrix_rank(incidence([epoch_seed] * ROUNDS)) == 5


def test_group_sums_of_redrawn_groups_would_give_everybody_away() -> None:
    seeds = [keccak256(b"round" + word(i)) for i in range(ROUNDS)]

    assert np.linalg.matrix_rank(incidence(seeds)) == len(OWNERS)
