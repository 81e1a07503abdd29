"""JSON-RPC over a socket of this machine. Each request has a connection of its own: no answer that comes late is taken for the next."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from .http_body import MOST_BYTES
from .json_rpc import AnswerToAnother, answer_to, request_bytes

_PIECE_BYTES = 2**20


class IpcTransport:
    """Asks one node; threads may share it.

    Parameters
    ----------
    path : str
        Of the socket.
    timeout_seconds : float, > 0
        Time limit of one request.
    """

    def __init__(self, path: str, timeout_seconds: float) -> None:
        self._path = str(Path(path).expanduser())
        self._timeout_seconds = timeout_seconds
        self._ids = count(1)

    def make_request(self, method: str, params: Sequence[object]) -> Any:
        """What the node answers; raises `OSError`, and what `answer_to` raises."""
        number, deadline = next(self._ids), time.monotonic() + self._timeout_seconds
        with socket.socket(socket.AF_UNIX) as node:
            node.settimeout(self._timeout_seconds)
            node.connect(self._path)
            node.sendall(request_bytes(number, method, params))
            body = bytearray()
            while True:
                node.settimeout(max(deadline - time.monotonic(), 0.001))
                piece = node.recv(_PIECE_BYTES)
                body += piece
                if not piece or len(body) > MOST_BYTES:
                    raise ConnectionError("the answer has no end")
                if piece.rstrip().endswith((b"}", b"]")) and (found := _whole(number, body)):
                    return found[0]


def _whole(number: int, body: bytearray) -> tuple[Any] | None:
    """The answer, if the body is a whole document: no length goes before it, and not every node ends it with a line."""
    try:
        return (answer_to(number, bytes(body)),)
    except AnswerToAnother:
        raise
    except ValueError:
        return None
