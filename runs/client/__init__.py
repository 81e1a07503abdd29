"""What one data owner's client takes in a market, beside a plain Flower client."""
