"""One market for real: twenty data owners, MNIST digits, Flower's simulation, the contracts on a local chain."""
