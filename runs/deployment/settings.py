"""Settings of the app's runs."""

from __future__ import annotations

from .recipe import Recipe


def settings_of(recipe: Recipe, *, market: bool) -> dict[str, object]:
    """Run config of a run, in the market or plain."""
    return {
        "market": market,
        "num-server-rounds": recipe.rounds,
        "seed": recipe.seed,
        "local-epochs": recipe.training.local_epochs,
        "learning-rate": recipe.training.learning_rate,
        "batch-size": recipe.training.batch_size,
    }
