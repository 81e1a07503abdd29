"""Adapter to Flower: the strategy of the model owner and the mod of the data owner."""
