"""Blobs from a beacon node: contracts and execution nodes know only their hashes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from urllib.parse import urlencode, urlsplit, urlunsplit

from ..decoding import decode_json
from ..errors import ChainError, Malformed, Unreachable
from ..node_address import redacted
from . import rpc_values
from .endpoint import TRANSIENT_STATUS, checked, repeated
from .rpc_headers import headers_for

SLOT_SECONDS = 12
"""Ethereum's, and of every other chain that does not say otherwise."""

_NOT_FOUND = 404
_DECIMAL = "0123456789"


class BeaconNode:
    """The HTTP API of a beacon node.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``; anything else raises `Unreachable`.
    timeout_seconds : float, > 0 (default: 30)
        Time limit of one request, and for how long a failed one is repeated.
    slot_seconds : int, > 0 (default: 12)
        The chain's, for nodes that do not tell.
    """

    def __init__(self, url: str, timeout_seconds: float = 30.0, slot_seconds: int = SLOT_SECONDS) -> None:
        self._url = urlsplit(checked("the beacon node", url, sockets=False))
        self._headers = headers_for(url)
        self._timeout_seconds = timeout_seconds
        self._usual_slot_seconds = slot_seconds

    def __repr__(self) -> str:
        return f"BeaconNode({self._shown!r})"

    def blobs(self, timestamp: int, hashes: Sequence[bytes]) -> list[bytes]:
        """Blobs of the block with this timestamp: those with the versioned hashes if the node keeps them, unchecked and in any order.

        Raises
        ------
        Unreachable
            No answer within the time limit.
        ChainError
            The node refuses, or answers what is no list of blobs.
        """
        slot = (timestamp - self._genesis_seconds) // self._slot_seconds
        query = [("versioned_hashes", "0x" + blob_hash.hex()) for blob_hash in hashes]
        found = self._blobs_of(slot, query)
        # Nodes differ in how they read several hashes; without any, they send all blobs of the block.
        return found if len(found) >= len(hashes) else self._blobs_of(slot, ())

    def _blobs_of(self, slot: int, query: Sequence[tuple[str, str]]) -> list[bytes]:
        found = self._get(f"/eth/v1/beacon/blobs/{slot}", query)
        if found is None:  # the node does not keep them, or it is older than this path
            found = self._get(f"/eth/v1/beacon/blob_sidecars/{slot}")
        if found is None:
            return []
        blobs = rpc_values.record("answer", found).get("data")
        if not isinstance(blobs, list):
            raise rpc_values.bad("list of blobs", blobs)
        return [rpc_values.octets("blob", blob.get("blob") if isinstance(blob, dict) else blob) for blob in blobs]

    @cached_property
    def _genesis_seconds(self) -> int:
        """Unix seconds of the first slot."""
        found = rpc_values.record("genesis", self._get("/eth/v1/beacon/genesis"))
        return _decimal("genesis_time", rpc_values.record("genesis", found.get("data")).get("genesis_time"))

    @cached_property
    def _slot_seconds(self) -> int:
        found = self._get("/eth/v1/config/spec")
        if found is None:
            return self._usual_slot_seconds
        spec = rpc_values.record("specification", rpc_values.record("specification", found).get("data"))
        if "SECONDS_PER_SLOT" not in spec and "SLOT_DURATION_MS" in spec:
            return max(1, _decimal("SLOT_DURATION_MS", spec["SLOT_DURATION_MS"]) // 1000)
        return max(1, _decimal("SECONDS_PER_SLOT", spec.get("SECONDS_PER_SLOT", str(self._usual_slot_seconds))))

    def _get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> object:
        """A JSON document; None if the node does not have it."""
        return repeated(lambda: self._get_once(path, query), self._timeout_seconds)

    def _get_once(self, path: str, query: Sequence[tuple[str, str]]) -> object:
        import requests

        from .http_body import read_body

        own = "&".join(part for part in (self._url.query, urlencode(query)) if part)
        url = urlunsplit((self._url.scheme, self._url.netloc, self._url.path.rstrip("/") + path, own, ""))
        deadline = time.monotonic() + self._timeout_seconds
        try:
            with requests.get(
                url, timeout=self._timeout_seconds, stream=True, headers={"Accept": "application/json"} | self._headers
            ) as response:
                status, body = response.status_code, read_body(response, deadline)
        except (requests.RequestException, OSError, ValueError) as error:
            raise self._unreachable(type(error).__name__) from error
        if status in TRANSIENT_STATUS:
            raise self._unreachable(f"HTTP status {status}")
        if status == _NOT_FOUND:
            return None
        if not 200 <= status < 300:
            raise ChainError(
                f"{self._shown} refuses {path} (HTTP status {status}); expected the API of a beacon node that keeps all blobs "
                "(a supernode or semi-supernode); check the blobs' address"
            )
        try:
            return decode_json(body, object)
        except Malformed as error:
            raise self._unreachable("an answer that is not JSON") from error

    @property
    def _shown(self) -> str:
        return redacted(urlunsplit(self._url))

    def _unreachable(self, reason: str) -> Unreachable:
        return Unreachable(f"{self._shown} does not answer ({reason}); expected a beacon node; check the blobs' address and the network")


def _decimal(what: str, value: object) -> int:
    """A number of at most 18 digits from its decimal form, as beacon nodes write them."""
    if not isinstance(value, str) or not 0 < len(value) <= 18 or value.strip(_DECIMAL):
        raise rpc_values.bad(what, value)
    return int(value)
