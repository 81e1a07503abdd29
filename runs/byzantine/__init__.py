"""Attackers against the market and against plain FedAvg: accuracy and pay, by kind and number of attackers."""
