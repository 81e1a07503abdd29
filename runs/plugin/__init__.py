"""Apps that somebody else wrote, in a market by a patch of a few lines: Flower's quickstarts for PyTorch, scikit-learn and JAX."""
