"""Flower's nodes on one machine, with a meter: every message travels serialised to a client app in another process.

All peers run over the same grid, so that what they cost can be compared: bytes as Flower sends them, the clients' seconds in their own
processes, and the server's seconds, which are what is left of a run while no client is at work.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Protocol

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as Proto
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

SERVER_NODE, FIRST_NODE = 1, 100
"""Node of data owner 0; the others follow."""

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class AppMaker(Protocol):
    """Makes the clients' app in the process where it runs."""

    def app(self) -> ClientApp:
        """The app."""


@dataclass(slots=True)
class Meter:
    """What was counted, all data owners together.

    Attributes
    ----------
    exchanges : int
    down_bytes, up_bytes : int
        To and from the data owners, as serialised.
    client_seconds, client_cpu_seconds : float
        That the clients were at work, their own reading and writing of messages included.
    seconds, server_seconds : float
        Of the whole run, and of it while no client was at work.
    """

    exchanges: int = 0
    down_bytes: int = 0
    up_bytes: int = 0
    client_seconds: float = 0.0
    client_cpu_seconds: float = 0.0
    seconds: float = 0.0
    server_seconds: float = 0.0


class Workers:
    """Processes with one core each, in which clients run; data owner i runs in process i modulo their number."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._held = ExitStack()
        self.processes: tuple[ProcessPoolExecutor, ...] = ()

    def __enter__(self) -> Workers:
        context = multiprocessing.get_context("spawn")
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # numpy reads them when it is imported
        try:
            self.processes = tuple(
                self._held.enter_context(ProcessPoolExecutor(1, mp_context=context, initializer=_begin)) for _ in range(self._number)
            )
            for ready in [process.submit(os.getpid) for process in self.processes]:
                ready.result()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for process in self.processes:
            process.shutdown(wait=False, cancel_futures=True)
        self._held.close()


class Nodes(Grid):
    """The nodes of one run.

    Parameters
    ----------
    workers : Workers
    maker : AppMaker
        Picklable.
    configs : sequence of dict
        Node config of each data owner; ``partition-id`` is added.
    silent : (int, int), optional
        A data owner, and the exchange, counted from 1, from which on its node is not there.
    """

    def __init__(
        self, workers: Workers, maker: AppMaker, configs: Sequence[dict[str, str]], *, silent: tuple[int, int] | None = None
    ) -> None:
        self._workers = workers
        self._maker = maker
        self._configs = [dict(config) | {"partition-id": str(owner)} for owner, config in enumerate(configs)]
        self._silent = silent
        self._session = next(_SESSIONS)
        self._names = count()
        self._waiting: dict[str, Message] = {}
        self._waited = 0.0
        self.meter = Meter()
        self.largest_reply = b""
        """The largest message that a client sent."""
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = SERVER_NODE

    def __enter__(self) -> Nodes:
        self._began = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.meter.seconds = time.perf_counter() - self._began
        self.meter.server_seconds = self.meter.seconds - self._waited

    def _not_here(self, *args: object, **kwargs: object) -> Any:
        raise NotImplementedError

    set_run, create_message, run = _not_here, _not_here, property(_not_here)

    def get_node_ids(self) -> Iterable[int]:
        """Nodes of all data owners."""
        return [FIRST_NODE + owner for owner in range(len(self._configs))]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """One exchange: ends when all clients have answered."""
        messages = list(messages)
        self.meter.exchanges += bool(messages)
        requests = [None if self._is_silent(message) else _raw(message) for message in messages]
        begun = time.perf_counter()
        pending = [raw and self._submit(message, raw) for message, raw in zip(messages, requests, strict=True)]
        del requests
        wait(future for future in pending if future)
        self._waited += time.perf_counter() - begun
        names = [str(next(self._names)) for _ in messages]
        for name, message in zip(names, messages, strict=True):
            future = pending.pop(0)  # with it goes what was sent, of which there may be gigabytes
            self._waiting[name] = self._received(message, future.result() if future else None)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies that are there."""
        return [self._waiting.pop(name) for name in message_ids if name in self._waiting]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """One exchange."""
        return self.pull_messages(self.push_messages(messages))

    def _is_silent(self, message: Message) -> bool:
        return self._silent is not None and _owner_of(message) == self._silent[0] and self.meter.exchanges >= self._silent[1]

    def _submit(self, message: Message, raw: bytes) -> Future[tuple[bytes, float, float]]:
        self.meter.down_bytes += len(raw)
        owner = _owner_of(message)
        process = self._workers.processes[owner % len(self._workers.processes)]
        return process.submit(_answer, self._session, self._maker, message.metadata.dst_node_id, self._configs[owner], raw)

    def _received(self, message: Message, answer: tuple[bytes, float, float] | None) -> Message:
        if answer is None:  # as Flower answers for a node that is offline
            return Message(Error(ErrorCode.NODE_UNAVAILABLE, "the node is not there"), reply_to=message)
        raw, seconds, cpu_seconds = answer
        self.meter.up_bytes += len(raw)
        self.meter.client_seconds += seconds
        self.meter.client_cpu_seconds += cpu_seconds
        if len(raw) > len(self.largest_reply):
            self.largest_reply = raw
        return message_from_proto(Proto.FromString(raw))


_SESSIONS = count()
_apps: dict[int, ClientApp] = {}
_contexts: dict[int, Context] = {}
"""In a client process: the app of the session, and what Flower keeps for each of its nodes."""


def _begin() -> None:
    """Make a process one in which clients run: it is ended by the run, and says nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("flwr").setLevel(logging.CRITICAL)


def _answer(session: int, maker: AppMaker, node: int, config: dict[str, str], raw: bytes) -> tuple[bytes, float, float]:
    """Reply of a client, serialised, and its wall and CPU seconds."""
    if session not in _apps:
        _apps.clear()
        _contexts.clear()
        _apps[session] = maker.app()
    context = _contexts.setdefault(node, Context(run_id=1, node_id=node, node_config=dict(config), state=RecordDict(), run_config={}))
    begun, begun_cpu = time.perf_counter(), time.process_time()
    request = message_from_proto(Proto.FromString(raw))
    try:
        reply = _apps[session](request, context)
    except Exception as error:  # as Flower does with whatever a client app raises
        reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, repr(error)), reply_to=request)
    answer = _raw(reply)
    return answer, time.perf_counter() - begun, time.process_time() - begun_cpu


def _raw(message: Message) -> bytes:
    return bytes(message_to_proto(message).SerializeToString())


def _owner_of(message: Message) -> int:
    return int(message.metadata.dst_node_id) - FIRST_NODE
