"""An Ethereum node and how to use it. Nothing here knows of a market."""
