"""A node that loses answers: it passes requests on to a real one, and on demand keeps an answer to itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen


class LossyNode:
    """Passes requests on.

    Attributes
    ----------
    url : str
    losing : dict of str to int
        By method, how many of the next answers get lost; the request itself arrives.
    passed : list of str
        Methods of the requests that were passed on.
    """

    def __init__(self, upstream: str) -> None:
        self.losing: dict[str, int] = {}
        self.passed: list[str] = []
        self.url = ""
        self._upstream = upstream

    def answer(self, body: bytes) -> bytes | None:
        """The real node's answer, or None if it is lost."""
        method = json.loads(body)["method"]
        self.passed.append(method)
        request = Request(self._upstream, body, {"Content-Type": "application/json"})
        with urlopen(request) as response:
            answer: bytes = response.read()
        if self.losing.get(method, 0) > 0:
            self.losing[method] -= 1
            return None
        return answer


@contextmanager
def lossy_node(upstream: str) -> Iterator[LossyNode]:
    """A running `LossyNode` before the node at `upstream`."""
    node = LossyNode(upstream)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = node.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503 if answer is None else 200)
            self.send_header("Content-Length", str(len(answer or b"")))
            self.end_headers()
            self.wfile.write(answer or b"")

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    node.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield node
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
