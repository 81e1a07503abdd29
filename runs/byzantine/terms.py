"""The terms of this run's market."""

from __future__ import annotations

from collections.abc import Callable

from omnilytics_flwr import Address, Terms
from omnilytics_flwr.market.terms import ZERO_ADDRESS

from ..mnist.model import initial_model, public_weights
from .recipe import Recipe

__all__ = ["ANY_VERIFICATION", "terms_of"]

ANY_VERIFICATION = Address(ZERO_ADDRESS[:-1] + "1")
"""Stands in the terms of a market that is only reckoned with."""


def terms_of(recipe: Recipe, *, rounds: int, weights: int | None = None) -> Callable[[Address], Terms]:
    """Terms given the address of the verification; `weights` if not those of the whole model."""
    weights = weights or public_weights(initial_model(recipe.seed), ())
    return recipe.market.terms(owners=recipe.data.owners, rounds=rounds, weights=weights)
