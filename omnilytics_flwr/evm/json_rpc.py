"""A JSON-RPC request as bytes, and the answer to it: one that bears another request's number is no answer to this one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


class AnswerToAnother(ValueError):
    """An answer that does not bear the number of the request."""


def request_bytes(number: int, method: str, params: Sequence[object]) -> bytes:
    """A request under a number of its own."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def answer_to(number: int, body: bytes) -> Any:
    """The answer to the request of that number; raises `AnswerToAnother`, and `ValueError` for what is no JSON.

    An error may come without a number: from a node that could not read the request, or a balancer that did not.
    """
    answer = json.loads(body)
    if isinstance(answer, dict) and answer.get("id") != number and (answer.get("id") is not None or answer.get("error") is None):
        raise AnswerToAnother
    return answer
