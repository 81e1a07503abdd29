"""A market in real processes on one machine: a SuperLink, a SuperNode and an owner agent for each data owner, and a chain."""
