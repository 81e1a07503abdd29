"""Runs: complete, repeatable uses of the project, one folder each."""
