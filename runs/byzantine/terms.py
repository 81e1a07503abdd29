"""The terms of this run's market."""

from __future__ import annotations

from collections.abc import Callable

from omnilytics_flwr import Terms
from omnilytics_flwr.market.terms import ZERO_ADDRESS, Address, norm_bound_steps

from ..mnist.model import initial_model, public_weights
from .recipe import Recipe

__all__ = ["ANY_VERIFICATION", "terms_of"]

ANY_VERIFICATION = Address(ZERO_ADDRESS[:-1] + "1")
"""Stands in the terms of a market that is only reckoned with."""


def terms_of(recipe: Recipe, *, rounds: int, weights: int | None = None) -> Callable[[Address], Terms]:
    """Terms given the address of the verification; `weights` if not those of the whole model."""
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
            weights=weights or public_weights(initial_model(recipe.seed), ()),
            update_bits=market.update_bits,
            clip_nano=round(market.clip * 1e9),
            norm_bound=norm_bound_steps(market.longest_mean, clip=market.clip, update_bits=market.update_bits),
            rounds_per_epoch=rounds,
            draw_delay_blocks=2,
        )

    return terms
