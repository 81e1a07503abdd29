"""Flower apps that are in a market already, and the command that tries any app in a market on this machine."""
