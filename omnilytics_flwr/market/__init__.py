"""The market without any chain: terms, stages, draw, multi-Krum, payouts, the ledger port and the ledger in memory; pure."""
