"""private: a Flower app with PyTorch, in a market, whose last layer never travels."""
