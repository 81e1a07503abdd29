"""The protocol's cryptography, pure: no network, no logging, no Flower, no chain (docs/specification/protocol.md sections 3 to 5 and 7)."""
