"""A market as a page: served on loopback and live, or as one file."""
