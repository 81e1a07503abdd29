"""The owner agent's local socket: who knows the home's token may ask what the Flower mod asks, nothing else."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import socketserver
import threading
import time
from hmac import compare_digest
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import OmnilyticsError, ProtocolError, Refused
from ..files import write_file
from .agent_socket import TOKEN_NAME, receive_exactly, receive_frame, socket_path
from .messages import MOST_REQUEST_BYTES, TOKEN_BYTES, CommitRequest, DeliverRequest, Reply, Request, decode_request, encode_reply
from .owner_agent import OwnerAgent

MOST_CLIENTS = 64
TOKEN_SECONDS = 5.0
"""Who sends no token within it is cut off."""
REQUEST_SECONDS = 60.0
REPLY_SECONDS = 60.0

Connection = Any
"""What `socketserver` calls a request: a socket."""

_log = logging.getLogger(__name__)


class Service:
    """Serves an agent on the socket of a home, each client in a thread of its own, from ``with`` to the end of its block.

    The caller sees to it that a home has one service at a time: a socket that is there already is taken for a dead one.

    Parameters
    ----------
    home : Path
        Gets a socket and a file with a new token, both readable by their owner only.
    agent : OwnerAgent
    token_seconds, request_seconds : float, > 0
        Time limits of a token and of a request.
    """

    def __init__(
        self, home: Path, agent: OwnerAgent, *, token_seconds: float = TOKEN_SECONDS, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        self._home = home
        self.agent = agent
        self.token = secrets.token_bytes(TOKEN_BYTES)
        self.token_seconds, self.request_seconds = token_seconds, request_seconds

    def __enter__(self) -> Service:
        path = socket_path(self._home)
        Path(path).unlink(missing_ok=True)
        write_file(self._home / TOKEN_NAME, self.token)
        self._server = _Server(path, self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="owner-agent-socket", kwargs={"poll_interval": 0.1})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        Path(socket_path(self._home)).unlink(missing_ok=True)
        self._server.stop_reading()
        self._server.server_close()  # waits for the clients that are being answered


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = False
    request_queue_size = MOST_CLIENTS

    def __init__(self, path: str, service: Service) -> None:
        self.service = service
        self._slots = threading.BoundedSemaphore(MOST_CLIENTS)
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(path, _Handler)

    def server_bind(self) -> None:
        super().server_bind()
        os.chmod(str(self.server_address), 0o600)  # before it listens: nobody can have connected

    def verify_request(self, request: Connection, client_address: object) -> bool:
        free = self._slots.acquire(blocking=False)
        if free:
            with self._lock:
                self._clients.add(request)
        return free

    def shutdown_request(self, request: Connection) -> None:
        with self._lock:
            held = request in self._clients
            self._clients.discard(request)
        super().shutdown_request(request)
        if held:
            self._slots.release()

    def handle_error(self, request: Connection, client_address: object) -> None:
        _log.exception("a client of the owner agent was lost")

    def stop_reading(self) -> None:
        """Cut off whoever has not sent its whole request; whoever has gets its reply."""
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RD)


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        service = self.server.service
        try:
            reply = self._answer(service)
        except OmnilyticsError as error:
            reply = error
        except ConnectionError:
            return
        except Exception:
            _log.exception("the owner agent failed")
            reply = ProtocolError("the owner agent failed; its log says why")
        try:
            self.request.settimeout(REPLY_SECONDS)
            self.request.sendall(encode_reply(reply))
        except (ConnectionError, TimeoutError):
            _log.info("a client went before its reply")

    def _answer(self, service: Service) -> Reply:
        start = time.monotonic()
        token = receive_exactly(self.request, TOKEN_BYTES, start + service.token_seconds)
        if not compare_digest(token, service.token):
            raise Refused(f"the token is not this agent's; read it from {TOKEN_NAME} in the owner home")
        header, body = receive_frame(self.request, MOST_REQUEST_BYTES, start + service.request_seconds)
        return answer(service.agent, decode_request(header, body))


def answer(agent: OwnerAgent, request: Request) -> Reply:
    """What an agent says to a request; raises what the agent raises."""
    match request:
        case CommitRequest():
            return agent.commit(request.task, request.update)
        case DeliverRequest():
            return agent.deliver(request.chain_id, request.market, request.epoch, request.round, request.digests)
    return agent.admit(request.task) if request.kind == "admit" else agent.admit_evaluation(request.task)
