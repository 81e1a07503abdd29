"""Many JSON-RPC requests in one."""

from __future__ import annotations

from typing import Any, cast

from omnilytics_flwr.evm.endpoint import Endpoint

Request = tuple[str, list[object]]


def ask_all(endpoint: Endpoint, requests: list[Request]) -> list[dict[str, Any]]:
    """Answers in the order of the requests, each with a ``result`` or an ``error``."""
    answers = endpoint.provider.make_batch_request(cast("Any", requests))
    return sorted(cast("Any", answers), key=lambda answer: answer["id"])
