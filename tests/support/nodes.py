"""Nodes that are not as they should be: one that gives set answers, one with faults before a real one, and what a hostile one may say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from random import Random
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from omnilytics_flwr.errors import OmnilyticsError
from omnilytics_flwr.evm.endpoint import Endpoint

REAL = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
"""For tests that ask a running node."""
PURE = settings(max_examples=200)

HEX = st.one_of(
    st.integers(min_value=0, max_value=2**300).map(hex),
    st.binary(max_size=70).map(lambda raw: "0x" + raw.hex()),
    st.sampled_from(["0x", "0x0", "0X1", "0xg", "-0x1", "0x" + "f" * 64, "0x" + "0" * 40, "0x1_0", "٠x١"]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20), HEX)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=12,
)

Answer = tuple[int, bytes]
"""Status and body of a response."""


@contextmanager
def serving(answer: Callable[[str, bytes], Answer]) -> Iterator[str]:
    """Address of a server that answers the path and body of each request."""
    with serving_headers(lambda path, body, _: answer(path, body)) as url:
        yield url


@contextmanager
def serving_headers(answer: Callable[[str, bytes, Mapping[str, str]], Answer]) -> Iterator[str]:
    """Address of a server that answers the path, body and headers of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answer(self.path, request, dict(self.headers))
            body = numbered(request, body)
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def numbered(request: bytes, answer: bytes) -> bytes:
    """An answer with the number of the request in place of 0, which stands for it."""
    if b'"id":0' not in answer and b'"id": 0' not in answer:
        return answer
    return json.dumps(json.loads(answer) | {"id": json.loads(request)["id"]}).encode()


@contextmanager
def answering(answer: Callable[[int], Answer], asked: list[str] | None = None) -> Iterator[str]:
    """Address of a server that gives `answer(n)` to its n-th request; the paths go into `asked`."""
    numbers, paths = count(), [] if asked is None else asked

    def respond(path: str, _: bytes) -> Answer:
        paths.append(path)
        return answer(next(numbers))

    with serving(respond) as url:
        yield url


@dataclass
class Limit:
    """How many bytes of a request a node takes; may change."""

    most_bytes: int


@contextmanager
def limited(upstream: str, limit: Limit) -> Iterator[str]:
    """Address of a node before a real one that takes requests of so many bytes only, as providers and proxies do."""

    def answer(_: str, body: bytes) -> Answer:
        if len(body) > limit.most_bytes:
            return 413, b"request entity too large"
        with urlopen(Request(upstream, body, {"Content-Type": "application/json"})) as response:
            return 200, bytes(response.read())

    with serving(answer) as url:
        yield url


HELD_SECONDS = 60.0
"""A test that takes longer has failed."""


class FaultyNode:
    """Passes requests on.

    Attributes
    ----------
    url, upstream : str
        The own address and that of the real node, which may change.
    refusing : bool
        Whether all requests are refused.
    losing : dict of str to int
        By method, how many of the next answers get lost; the request itself arrives.
    holding : set of str
        Methods whose requests do not arrive, and get no answer, until `release` is set.
    falsifying : dict of str to function
        By method, what is made of the real node's answer.
    most_log_blocks : int or None
        Whether, and of how many blocks at most, logs are given.
    reserving : bool
        Whether a blob transaction is refused while another one is pending, and the reverse, as geth does.
    passed : list of str
        Methods of the requests that were passed on.
    asked : list of str
        Methods of all requests.
    """

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self.upstream = upstream
        self.refusing = False
        self.losing: dict[str, int] = {}
        self.holding: set[str] = set()
        self.held = threading.Event()
        self.release = threading.Event()
        self.falsifying: dict[str, Callable[[dict[str, Any]], object]] = {}
        self.most_log_blocks: int | None = None
        self.reserving = False
        self.passed: list[str] = []
        self.asked: list[str] = []
        self._every: tuple[int, int, str] | None = None

    def refuse_every(self, count: int, code: int, message: str) -> None:
        """Answer every so many requests with this error, in an HTTP 200, as providers tell of their rate limits."""
        self._every = (count, code, message)

    def answer(self, body: bytes) -> bytes | None:
        """The answer, or None if there is none."""
        method = json.loads(body)["method"]
        self.asked.append(method)
        if self._every is not None and len(self.asked) % self._every[0] == 0:
            return json.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": self._every[1], "message": self._every[2]}}).encode()
        if method in self.holding:
            self.held.set()
            self.release.wait(HELD_SECONDS)
            return None
        if self.refusing:
            return None
        self.passed.append(method)
        if self.most_log_blocks is not None and method == "eth_getLogs":
            first, last = (int(json.loads(body)["params"][0][name], 16) for name in ("fromBlock", "toBlock"))
            if last - first >= self.most_log_blocks:
                message = f"exceed maximum block range: {self.most_log_blocks}"
                return json.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": -32602, "message": message}}).encode()
        if self.reserving and method == "eth_sendRawTransaction" and self._is_reserved(json.loads(body)["params"][0]):
            return json.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "address already reserved"}}).encode()
        try:
            with urlopen(Request(self.upstream, body, {"Content-Type": "application/json"})) as response:
                answer: bytes = response.read()
        except (URLError, OSError):
            return None
        if self.losing.get(method, 0) > 0:
            self.losing[method] -= 1
            return None
        falsify = self.falsifying.get(method)
        return answer if falsify is None else json.dumps(falsify(json.loads(answer))).encode()

    def _is_reserved(self, raw: str) -> bool:
        types = {one["type"] for one in unmined(Endpoint(self.upstream))}
        return any((one == "0x3") != raw.startswith("0x03") for one in types)


def impatient(endpoint: Endpoint) -> Endpoint:
    """The same endpoint, which soon gives up repeating what fails; an answer may take as long as ever, for the machine may be busy."""
    endpoint.timeout_seconds = 0.2
    return endpoint


def unmined(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Transactions in the pool of anvil; one that is mined stays there for a moment, and does not count."""
    content = endpoint.request("txpool_content")
    found = [one for part in ("pending", "queued") for by_nonce in content[part].values() for one in by_nonce.values()]
    return [one for one in found if endpoint.request("eth_getTransactionReceipt", one["hash"]) is None]


@contextmanager
def faulty_node(upstream: str) -> Iterator[FaultyNode]:
    """A running `FaultyNode` before the node at `upstream`."""
    node = FaultyNode(upstream)

    def respond(_: str, body: bytes) -> Answer:
        answer = node.answer(body)
        return (503, b"") if answer is None else (200, answer)

    with serving(respond) as node.url:
        try:
            yield node
        finally:
            node.release.set()


@st.composite
def spoiled(draw: st.DrawFn, value: Any, depth: int = 3) -> Any:
    """A JSON value of which some part, or all, is another or gone."""
    if depth == 0 or not isinstance(value, (dict, list)) or not value or draw(st.integers(0, 5)) == 0:
        return draw(JSON)
    place = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    fresh = value.copy()
    if draw(st.integers(0, 3)) == 0:
        del fresh[place]
    else:
        fresh[place] = draw(spoiled(value[place], depth - 1))
    return fresh


def spoil(value: Any, lies: list[Any], random: Random) -> Any:
    """A JSON value of which some part, or all, is one of the lies or gone."""
    if not isinstance(value, (dict, list)) or not value or random.random() < 0.2:
        return random.choice(lies)
    place = random.choice(sorted(value) if isinstance(value, dict) else range(len(value)))
    fresh = value.copy()
    if random.random() < 0.25:
        del fresh[place]
    else:
        fresh[place] = spoil(value[place], lies, random)
    return fresh


def survives(action: Callable[[], object]) -> None:
    """Run it; an error of ours is fine."""
    with suppress(OmnilyticsError):
        action()
