"""The three verifications side by side, on a model that fits all of them."""
