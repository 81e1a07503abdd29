"""Bodies of HTTP answers: whole however they are packed, and bounded."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat

import pytest

from omnilytics_flwr.errors import Unreachable
from omnilytics_flwr.evm import http_body
from omnilytics_flwr.evm.endpoint import Endpoint

ANSWER = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x" + "ab" * 100_000}).encode()
DRIP_SECONDS = 0.02


@contextmanager
def sending(*pieces: Iterable[bytes]) -> Iterator[str]:
    """Address of a node that sends these bytes to whoever asks, piece after piece with a pause between, and closes."""
    over = threading.Event()

    def serve() -> None:
        for answer in pieces:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as request:
                    head = iter(request.readline, b"\r\n")
                    request.read(sum(int(line.split()[1]) for line in head if line.startswith(b"Content-Length:")))
                    for piece in answer:
                        connection.sendall(piece)
                        if over.wait(DRIP_SECONDS):
                            return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def chunked(body: bytes) -> list[bytes]:
    return [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])] + [b"0\r\n\r\n"]


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER), ANSWER[:50_000], ANSWER[50_000:]],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunked(ANSWER)],
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", *chunked(gzip.compress(ANSWER))],
        [b"HTTP/1.1 200 OK\r\n\r\n", ANSWER],
    ],
    ids=["length", "chunked", "gzip", "until closed"],
)
def test_answer_is_read_whole_however_it_is_packed(answer: list[bytes]) -> None:
    with sending(answer) as url:
        assert Endpoint(url).request_once("eth_call") == "0x" + "ab" * 100_000


def test_answer_that_never_ends_is_none() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with sending([head, *repeat(b" ", 99_000)]) as url, pytest.raises(Unreachable, match="ReadTimeout"):
        Endpoint(url, timeout_seconds=5 * DRIP_SECONDS).request_once("eth_call")


def test_answer_that_is_too_large_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_body, "MOST_BYTES", 1000)
    with sending([b"HTTP/1.1 200 OK\r\n\r\n" + ANSWER]) as url, pytest.raises(Unreachable, match="AnswerTooLarge"):
        Endpoint(url).request_once("eth_call")
