"""Deployments that are known by the id of their chain."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from importlib import resources
from typing import Any

from ..crypto.address import parse_address
from ..errors import Malformed, UnsupportedChain
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
    """The deployment on a chain among `deployments`, by chain id in decimal.

    Raises
    ------
    UnsupportedChain
        There is none.
    Malformed
        What is there describes no deployment.
    """
    if not isinstance(deployments, Mapping) or deployments.get(str(chain_id)) is None:
        known = ", ".join(map(str, deployments)) if isinstance(deployments, Mapping) else ""
        raise UnsupportedChain(f"no deployment is known on chain {chain_id}; known are: {known or 'none'}; deploy the contracts yourself")
    entry = deployments[str(chain_id)]
    try:
        verification, implementation, factory = (parse_address(entry[name]) for name in ("verification", "implementation", "factory"))
        block = operator.index(entry["block"])
    except (LookupError, TypeError, AttributeError) as error:
        raise Malformed(
            f"the entry of chain {chain_id} among the known deployments lacks or garbles {error}; "
            "expected three addresses and a block; install this package anew"
        ) from error
    return Deployment(chain_id=chain_id, verification=verification, implementation=implementation, factory=factory, block=block)
