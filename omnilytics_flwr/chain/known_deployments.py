"""Deployments by the id of their chain: those that this version knows, and a user's own in a file of the same form."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from typing import Any

from ..crypto.address import parse_address
from ..errors import Malformed, UnsupportedChain
from .deploy import Deployment

_ADDRESSES = ("verification", "implementation", "factory")


def known_deployment(chain_id: int, own: Mapping[int, Deployment] | None = None) -> Deployment:
    """The deployment on a chain: one's own if there is one, else that of this version.

    Raises
    ------
    UnsupportedChain
        None is known.
    """
    known = parse_deployments((resources.files(__package__) / "known.json").read_bytes()) | dict(own or {})
    if chain_id not in known:
        listed = ", ".join(map(str, known)) or "none"
        raise UnsupportedChain(f"no deployment is known on chain {chain_id}; known are: {listed}; deploy the contracts yourself")
    return known[chain_id]


def parse_deployments(text: str | bytes) -> dict[int, Deployment]:
    """Deployments from JSON: an object by chain id in decimal, each entry with three addresses and the block of the deployment.

    Raises
    ------
    Malformed
        It is anything else, or an entry has other keys.
    """
    try:
        return {int(chain_id): _deployment(int(chain_id), entry) for chain_id, entry in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"these are no deployments ({error}); expected an object by chain id") from error


def _deployment(chain_id: int, entry: Mapping[str, Any]) -> Deployment:
    if set(entry) != {*_ADDRESSES, "block"}:
        raise ValueError(f"chain {chain_id} needs {', '.join(_ADDRESSES)} and block")
    addresses = {name: parse_address(entry[name]) for name in _ADDRESSES}
    return Deployment(chain_id=chain_id, block=operator.index(entry["block"]), **addresses)


def json_of(deployments: Mapping[int, Deployment]) -> str:
    """What `parse_deployments` reads."""
    entries = {str(chain_id): asdict(deployment) for chain_id, deployment in deployments.items()}
    for entry in entries.values():
        del entry["chain_id"]
    return json.dumps(entries, indent=2) + "\n"
