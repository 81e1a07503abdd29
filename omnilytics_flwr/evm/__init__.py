"""The engine room: an Ethereum node and how to use it. Knows nothing of a market."""
