"""The market of this run: its terms, and what it costs the model owner."""

from __future__ import annotations

from collections.abc import Callable

from omnilytics_flwr import Address, Terms

from .app import METRICS
from .model import PRIVATE, initial_model, public_weights
from .recipe import Recipe

__all__ = ["escrow_wei", "terms_of"]


def terms_of(recipe: Recipe) -> Callable[[Address], Terms]:
    """Terms of the recipe's market, given the address of the verification contract."""
    return recipe.market.terms(
        owners=recipe.data.owners,
        rounds=recipe.training.rounds,
        weights=public_weights(initial_model(recipe.seed), PRIVATE),
        metrics=tuple(sorted(METRICS)),
    )


def escrow_wei(recipe: Recipe) -> int:
    """What pays everybody in every round, and the bond."""
    return recipe.market.escrow_wei(owners=recipe.data.owners, rounds=recipe.training.rounds)
