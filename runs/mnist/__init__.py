"""One market on MNIST: a model owner with few samples buys updates from twenty data owners."""
