"""The model as Flower's arrays and back."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord

from .task import Model

__all__ = ["arrays_of", "model_of"]


def arrays_of(model: Model) -> ArrayRecord:
    """Arrays by parameter name."""
    return ArrayRecord({name: Array(value) for name, value in model.items()})


def model_of(arrays: ArrayRecord) -> Model:
    """Weights by parameter name."""
    return {name: array.numpy() for name, array in arrays.items()}
