"""The server on the owner agent's local socket: whoever knows the home's token may ask what the Flower mod asks, and nothing else."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import OmnilyticsError, ProtocolError, Refused
from ..files import share, write_file
from .agent_messages import MOST_CALL_BYTES, AdmitCall, Call, CommitCall, DeliverCall, KeepCall, KeptCall, Result, decode_call, encode_reply
from .agent_socket import TOKEN_BYTES, TOKEN_NAME, head_of, receive_exactly, receive_length, socket_path
from .owner_agent import OwnerAgent

MOST_CLIENTS = 64
LARGE_CALL_BYTES = 2**20
"""A longer call is read and served alone, so that memory never holds two."""
TURN_SECONDS = 600.0
TOKEN_SECONDS = 5.0
CALL_SECONDS = 60.0
REPLY_SECONDS = 60.0

Client = Any
"""A socket; `socketserver` calls it a request and types it so."""

_log = logging.getLogger(__name__)


class AgentServer:
    """Serves an agent on a socket in a folder, each client in a thread of its own, from ``with`` to the end of its block.

    The caller ensures that a folder has one server at a time: a socket that is there already is taken for a dead one.

    Parameters
    ----------
    folder : Path
        Gets a socket and a file with a new token.
    agent : OwnerAgent
    group : int, optional
        Id of the group whose members may ask the agent too; left out, its own user alone may.
    token_seconds, call_seconds : float, > 0
        A client is cut off that has not sent its token, its whole call within this time.
    turn_seconds : float, > 0
        How long a large call waits for those before it.
    """

    def __init__(
        self,
        folder: Path,
        agent: OwnerAgent,
        *,
        group: int | None = None,
        token_seconds: float = TOKEN_SECONDS,
        call_seconds: float = CALL_SECONDS,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._folder = folder
        self.agent = agent
        self.group = group
        self.token = secrets.token_bytes(TOKEN_BYTES)
        self.token_seconds, self.call_seconds, self.turn_seconds = token_seconds, call_seconds, turn_seconds
        self.large_call = threading.Lock()

    def __enter__(self) -> AgentServer:
        path = socket_path(self._folder)
        Path(path).unlink(missing_ok=True)
        write_file(self._folder / TOKEN_NAME, self.token)
        share(self._folder / TOKEN_NAME, self.group, 0o640)
        self._listener = _Listener(path, self)
        self._thread = threading.Thread(target=self._listener.serve_forever, name="owner-agent-socket", kwargs={"poll_interval": 0.1})
        self._thread.start()
        return self

    @contextmanager
    def turn(self, length: int) -> Iterator[float]:
        """Hold back a large call while another one is served; gives the seconds that it waited."""
        start = time.monotonic()
        if length <= LARGE_CALL_BYTES:
            yield 0.0
        elif self.large_call.acquire(timeout=self.turn_seconds):
            try:
                yield time.monotonic() - start
            finally:
                self.large_call.release()
        else:
            raise Refused("the owner agent is at work on other large calls; ask again")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._listener.shutdown()
        self._thread.join()
        Path(socket_path(self._folder)).unlink(missing_ok=True)
        self._listener.stop_reading()
        self._listener.server_close()  # waits for the clients that are being answered


class _Listener(socketserver.ThreadingUnixStreamServer):
    daemon_threads = False
    request_queue_size = MOST_CLIENTS

    def __init__(self, path: str, server: AgentServer) -> None:
        self.server = server
        self._slots = threading.BoundedSemaphore(MOST_CLIENTS)
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(path, _Handler)

    def server_bind(self) -> None:
        super().server_bind()
        os.chmod(str(self.server_address), 0o600)  # before it listens: nobody can have connected
        share(Path(str(self.server_address)), self.server.group, 0o660)

    def verify_request(self, request: Client, client_address: object) -> bool:
        free = self._slots.acquire(blocking=False)
        if free:
            with self._lock:
                self._clients.add(request)
        return free

    def shutdown_request(self, request: Client) -> None:
        with self._lock:
            held = request in self._clients
            self._clients.discard(request)
        super().shutdown_request(request)
        if held:
            self._slots.release()

    def handle_error(self, request: Client, client_address: object) -> None:
        _log.exception("a client of the owner agent was lost")

    def stop_reading(self) -> None:
        """Cut off whoever has not sent its whole call; whoever has gets its reply."""
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RD)


class _Handler(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        reply: Result | OmnilyticsError
        try:
            reply = self._reply(self.server.server)
        except OmnilyticsError as error:
            reply = error
        except ConnectionError:
            return
        except Exception:
            # The client learns nothing of a failure that nobody foresaw: its text may hold data.
            _log.exception("the owner agent failed")
            reply = ProtocolError("the owner agent failed; its log says why")
        try:
            self.request.settimeout(REPLY_SECONDS)
            message = encode_reply(reply)
            self.request.sendall(head_of(message))
            self.request.sendall(message)
        except (ConnectionError, TimeoutError):
            _log.info("a client left before its reply")

    def _reply(self, server: AgentServer) -> Result:
        start = time.monotonic()
        token = receive_exactly(self.request, TOKEN_BYTES, start + server.token_seconds)
        if not compare_digest(token, server.token):
            raise Refused(f"the token is not this agent's; read it from {TOKEN_NAME} beside its socket")
        deadline = start + server.call_seconds
        length = receive_length(self.request, MOST_CALL_BYTES, deadline)
        with server.turn(length) as waited:
            return result_of(server.agent, decode_call(receive_exactly(self.request, length, deadline + waited)))


def result_of(agent: OwnerAgent, call: Call) -> Result:
    """What an agent returns to a call; raises what the agent raises."""
    match call:
        case CommitCall():
            return agent.commit(call.task, call.update)
        case DeliverCall():
            return agent.deliver(call.chain_id, call.market, call.epoch, call.round, call.digests)
        case KeepCall():
            agent.keep(call.chain_id, call.market, call.name, call.content)
            return None
        case KeptCall():
            return agent.kept(call.chain_id, call.market, call.name)
        case AdmitCall():
            return agent.admit(call.task)
    return agent.admit_evaluation(call.task)
