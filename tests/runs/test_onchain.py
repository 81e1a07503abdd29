"""The run of the three verifications: what it trains, and what it fills a transaction with."""

from __future__ import annotations

import numpy as np

from runs.onchain.__main__ import Recipe as OnchainRecipe
from runs.onchain.__main__ import largest_weights, learn
from runs.onchain.regression import WEIGHTS, accuracy, load_shares, trained


def test_training_learns_and_the_same_seed_gives_the_same() -> None:
    (share,), test = load_shares(owners=1, each=300, test=300, seed=3)
    one, again = (trained(np.zeros(WEIGHTS), share, epochs=5, lr=0.1, batch_size=20, seed=[3, 1]) for _ in range(2))

    assert (one == again).all()
    assert accuracy(one, test) > 0.6 > 0.2 > accuracy(np.zeros(WEIGHTS), test)


def test_computed_markets_take_as_many_weights_as_fit_a_transaction() -> None:
    """12 to an element: 266 elements of 15 data owners, 199 of 20."""
    assert (largest_weights(15, 3), largest_weights(20, 4)) == (12 * 266, 12 * 199)


def test_round_of_a_computed_market_is_learnt_from_and_its_gas_is_told() -> None:
    small = OnchainRecipe(
        seed=3, owners=15, digits_per_owner=40, test_digits=200, rounds=1, local_epochs=3, learning_rate=0.1, batch_size=10, largest=()
    )

    row = learn(small, "computed")

    assert row["accuracy"][0] > 0.4
    assert row["settlement_bytes"] == 15 * 32 * -(-WEIGHTS // 12)
    assert row["settle_gas"] > 10 * row["settlement_bytes"]
