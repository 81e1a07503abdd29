"""A Flower app: a small digit classifier, in a market or not."""
