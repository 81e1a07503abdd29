"""Adapter to a chain: contracts over JSON-RPC, wallets, the managed local chain."""
