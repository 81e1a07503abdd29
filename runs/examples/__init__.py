"""Flower apps that are in a market already."""
