"""Known deployments."""

from __future__ import annotations

import json

import pytest

from omnilytics_flwr.chain.known_deployments import known_deployment, parse_deployments
from omnilytics_flwr.errors import Malformed, UnsupportedChain

ADDRESSES = {
    "verification": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
    "computed": "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    "implementation": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "factory": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "gate": "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
}


def deployments(**changes: object) -> str:
    return json.dumps({"5": ADDRESSES | {"block": 12} | changes})


def test_known_deployment_of_ones_own_gives_its_contracts() -> None:
    with pytest.raises(UnsupportedChain, match="no deployment is known on chain 31337"):
        known_deployment(31337)
    found = known_deployment(5, parse_deployments(deployments()))
    assert (found.chain_id, found.block) == (5, 12)
    assert found.verification == "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@pytest.mark.parametrize("changes", [{"factory": "0x70997970c51812dc3A010C7d01b50e0d17dc79C8"}, {"block": "12"}, {"more": 1}])
def test_parse_deployments_what_is_none_raises(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        parse_deployments(deployments(**changes))
