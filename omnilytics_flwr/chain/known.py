"""Deployments that are known by the id of their chain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from ..errors import UnsupportedChain
from ..market.address import parse_address
from .deploy import Deployment


def known_deployment(chain_id: int) -> Deployment:
    """The deployment on a chain.

    Raises
    ------
    UnsupportedChain
        None is known.
    """
    return find(chain_id, json.loads((resources.files(__package__) / "known.json").read_text()))


def find(chain_id: int, deployments: Mapping[str, Mapping[str, Any]]) -> Deployment:
    """The deployment on a chain among `deployments`, by chain id in decimal; raises `UnsupportedChain` if there is none."""
    entry = deployments.get(str(chain_id))
    if entry is None:
        raise UnsupportedChain(
            f"no deployment is known on chain {chain_id}; known are: {', '.join(deployments) or 'none'}; deploy the contracts yourself"
        )
    return Deployment(
        chain_id=chain_id,
        verification=parse_address(entry["verification"]),
        implementation=parse_address(entry["implementation"]),
        factory=parse_address(entry["factory"]),
        block=int(entry["block"]),
    )
