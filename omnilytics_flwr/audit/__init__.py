"""A market recomputed from what was sent to it, by anybody."""
