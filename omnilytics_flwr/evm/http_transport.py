"""JSON-RPC over HTTP. What does not change from request to request, such as proxies and headers, is worked out once."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from .http_body import read_body


class AnswerToAnother(ValueError):
    """An answer that does not bear the number of the request."""


class HttpTransport:
    """Asks one node; threads may share it.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``.
    timeout_seconds : float, > 0
        Time limit of one request; for the head of an answer, of each of its packets.
    headers : mapping of str to str
        Sent with every request.
    """

    def __init__(self, url: str, timeout_seconds: float, headers: Mapping[str, str]) -> None:
        session = requests.Session()
        self._request = session.prepare_request(requests.Request("POST", url, headers=dict(headers)))
        self._settings = dict(session.merge_environment_settings(str(self._request.url), {}, True, None, None))
        self._adapter = HTTPAdapter()
        self._timeout_seconds = timeout_seconds
        self._ids = count(1)

    def make_request(self, method: str, params: Sequence[object]) -> Any:
        """What the node answers; raises what `requests` and `read_body` raise, and `ValueError` for what is no answer to this."""
        number, deadline = next(self._ids), time.monotonic() + self._timeout_seconds
        request = self._request.copy()
        request.prepare_body(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode(), None)
        with self._adapter.send(request, timeout=self._timeout_seconds, **self._settings) as response:
            response.raise_for_status()
            answer = json.loads(read_body(response, deadline))
        # An error may come without a number: from a node that could not read the request, or a balancer that did not.
        if isinstance(answer, dict) and answer.get("id") != number and (answer.get("id") is not None or answer.get("error") is None):
            raise AnswerToAnother
        return answer
