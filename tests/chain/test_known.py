"""Known deployments."""

from __future__ import annotations

import pytest

from omnilytics_flwr.chain.known_deployments import find, known_deployment
from omnilytics_flwr.errors import Malformed, UnsupportedChain

ADDRESSES = {
    "verification": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
    "implementation": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "factory": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
}


def test_find_chain_listed_gives_its_contracts() -> None:
    found = find(5, {"5": {**ADDRESSES, "block": 12}})
    assert (found.chain_id, found.block) == (5, 12)
    assert found.verification == "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def test_find_address_with_wrong_checksum_raises() -> None:
    with pytest.raises(Malformed):
        find(5, {"5": {**ADDRESSES, "factory": "0x70997970c51812dc3A010C7d01b50e0d17dc79C8", "block": 12}})


def test_known_deployment_local_chain_has_none() -> None:
    with pytest.raises(UnsupportedChain, match="no deployment is known on chain 31337"):
        known_deployment(31337)
