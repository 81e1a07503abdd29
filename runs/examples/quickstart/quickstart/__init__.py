"""quickstart: a Flower app with scikit-learn, in a market."""
