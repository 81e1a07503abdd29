"""A node with faults: it passes requests on to a real one, and on demand refuses, loses, holds back or falsifies what it passes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

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
    passed : list of str
        Methods of the requests that were passed on.
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
        self.passed: list[str] = []

    def answer(self, body: bytes) -> bytes | None:
        """The answer, or None if there is none."""
        method = json.loads(body)["method"]
        if method in self.holding:
            self.held.set()
            self.release.wait(HELD_SECONDS)
            return None
        if self.refusing:
            return None
        self.passed.append(method)
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


@contextmanager
def faulty_node(upstream: str) -> Iterator[FaultyNode]:
    """A running `FaultyNode` before the node at `upstream`."""
    node = FaultyNode(upstream)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = node.answer(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self.send_response(503 if answer is None else 200)
                self.send_header("Content-Length", str(len(answer or b"")))
                self.end_headers()
                self.wfile.write(answer or b"")
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    node.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield node
    finally:
        node.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
