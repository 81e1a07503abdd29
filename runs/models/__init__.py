"""Models that people have: a small CNN, a million weights, ResNet-18, and adapters of a frozen transformer, each in markets for real."""
