"""The market of this run: its terms, and the strategy of its model owner."""

from __future__ import annotations

from collections.abc import Callable

from omnilytics_flwr import Terms
from omnilytics_flwr.market.terms import Address, norm_bound_steps

from .app import METRICS
from .model import PRIVATE, initial_model, public_weights
from .recipe import Recipe

__all__ = ["escrow_wei", "terms_of"]


def terms_of(recipe: Recipe) -> Callable[[Address], Terms]:
    """Terms of the recipe's market, given the address of the verification contract."""
    market = recipe.market

    def terms(verification: Address) -> Terms:
        return Terms(
            verification=verification,
            reward_wei=market.reward_wei,
            stake_wei=(market.group_size + 1) * market.reward_wei,
            bond_wei=market.bond_wei,
            most_owners=recipe.data.owners,
            group_size=market.group_size,
            faulty_groups=market.faulty_groups,
            weights=public_weights(initial_model(recipe.seed), PRIVATE),
            update_bits=market.update_bits,
            clip_nano=round(market.clip * 1e9),
            norm_bound=norm_bound_steps(market.longest_mean, clip=market.clip, update_bits=market.update_bits),
            rounds_per_epoch=recipe.training.rounds,
            draw_delay_blocks=2,
            metrics=tuple(sorted(METRICS)),
        )

    return terms


def escrow_wei(recipe: Recipe) -> int:
    """What pays everybody in every round, and the bond."""
    return recipe.training.rounds * recipe.data.owners * recipe.market.reward_wei + recipe.market.bond_wei
