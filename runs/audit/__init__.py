"""How long it takes anybody to recompute a market."""
