"""The command line: a thin layer of words over the adapters; importing it loads click and nothing heavier."""
