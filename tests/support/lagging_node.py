"""Two nodes behind one address, as balancers of providers have them: half of the requests go to one that lacks the latest blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from urllib.request import Request, urlopen

from .nodes import Answer, serving

BLOCK_PLACES = {
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_getBalance": 1,
    "eth_getBlockByNumber": 0,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_simulateV1": 1,
}
"""Where a method's parameters name the block."""


class LaggingNode:
    """Passes requests on to a real node; one backend learns of a new block only some requests later.

    Attributes
    ----------
    url : str
        The own address.
    lag_requests : int
        How many requests later.
    stale : list of str
        Methods of the requests that the late backend answered while it was late.
    """

    def __init__(self, upstream: str, lag_requests: int, seed: int) -> None:
        self.url = ""
        self.lag_requests = lag_requests
        self.stale: list[str] = []
        self._upstream = upstream
        self._random = Random(seed)
        self._known = int(self._ask("eth_blockNumber")["result"], 16)
        self._left = lag_requests

    def answer(self, body: bytes) -> bytes:
        """The answer of whichever backend has its turn."""
        request = json.loads(body)
        method, params = request["method"], request["params"]
        if method == "web3_clientVersion":  # no development chain has two nodes
            return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "Geth/v1.16.5"}).encode()
        head = int(self._ask("eth_blockNumber")["result"], 16)
        if head > self._known:
            self._left -= 1
        if self._left <= 0 or head < self._known:
            self._known, self._left = head, self.lag_requests
        is_late = self._known < head and self._random.random() < 0.5
        if is_late:
            self.stale.append(method)
        return json.dumps(self._late(method, params) if is_late else self._ask(method, *params)).encode()

    def _late(self, method: str, params: list[Any]) -> dict[str, Any]:
        if method == "eth_blockNumber":
            return _result(hex(self._known))
        if method == "eth_getTransactionReceipt":
            answer = self._ask(method, *params)
            return answer if answer.get("result") and int(answer["result"]["blockNumber"], 16) <= self._known else _result(None)
        if method not in BLOCK_PLACES:
            return self._ask(method, *params)
        place = BLOCK_PLACES[method]
        named = params[place] if len(params) > place else "latest"
        number = self._number(named)
        if number > self._known:
            missing = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "header not found"}}
            return _result(None) if method == "eth_getBlockByNumber" else missing
        return self._ask(method, *params[:place], named if isinstance(named, dict) else hex(number), *params[place + 1 :])

    def _number(self, named: Any) -> int:
        if isinstance(named, dict):
            return int(self._ask("eth_getBlockByHash", named["blockHash"], False)["result"]["number"], 16)
        return int(named, 16) if named.startswith("0x") else self._known

    def _ask(self, method: str, *params: object) -> dict[str, Any]:
        body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": method, "params": params}).encode()
        with urlopen(Request(self._upstream, body, {"Content-Type": "application/json"})) as response:
            answer: dict[str, Any] = json.loads(response.read())
        return answer


@contextmanager
def lagging_node(upstream: str, lag_requests: int, seed: int = 0) -> Iterator[LaggingNode]:
    """A running `LaggingNode` before the node at `upstream`."""
    node = LaggingNode(upstream, lag_requests, seed)

    def respond(_: str, body: bytes) -> Answer:
        return 200, node.answer(body)

    with serving(respond) as node.url:
        yield node


def _result(value: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 0, "result": value}
