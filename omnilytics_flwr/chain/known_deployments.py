"""Deployments by chain id: those that this version knows, and a user's own in a file of the same form."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import msgspec
from msgspec import structs

from ..crypto.address import Address, parse_address
from ..decoding import Count, decode_json
from ..errors import Malformed, UnsupportedChain
from .deploy import Deployment


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deployment in a file."""

    verification: Address
    computed: Address
    implementation: Address
    factory: Address
    gate: Address
    block: Count

    def __post_init__(self) -> None:
        for name in ("verification", "computed", "implementation", "factory", "gate"):
            structs.force_setattr(self, name, parse_address(getattr(self, name)))


def known_deployment(chain_id: int, own: Mapping[int, Deployment] | None = None) -> Deployment:
    """The deployment on a chain, one's own before that of this version; raises `UnsupportedChain` if none is known."""
    known = parse_deployments((resources.files(__package__) / "known.json").read_bytes()) | dict(own or {})
    if chain_id not in known:
        listed = ", ".join(map(str, known)) or "none"
        raise UnsupportedChain(f"no deployment is known on chain {chain_id}; known are: {listed}; deploy the contracts yourself")
    return known[chain_id]


def parse_deployments(text: str | bytes) -> dict[int, Deployment]:
    """Deployments from JSON: an object by chain id, each entry with five addresses and a block; raises `Malformed` if it is not."""
    try:
        entries = decode_json(text, dict[Count, _Entry])
    except Malformed as error:
        raise Malformed(f"these are no deployments ({error}); expected an object by chain id") from error
    return {chain_id: Deployment(chain_id=chain_id, **structs.asdict(entry)) for chain_id, entry in entries.items()}


def json_of(deployments: Mapping[int, Deployment]) -> str:
    """What `parse_deployments` reads."""
    entries = {
        chain_id: _Entry(d.verification, d.computed, d.implementation, d.factory, d.gate, d.block) for chain_id, d in deployments.items()
    }
    return msgspec.json.format(msgspec.json.encode(entries), indent=2).decode() + "\n"
