"""The alternatives in one run: plain FedAvg, Flower's MultiKrum, Flower's SecAgg+, and this market."""
