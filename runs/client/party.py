"""One client in a process of its own: answers messages as Flower moves them, and tells what it took beyond training."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from omnilytics_flwr import omnilytics_mod
from omnilytics_flwr.data_owner.step_times import Spent, StepTimes, peak_memory_bytes
from omnilytics_flwr.errors import ProtocolError
from omnilytics_flwr.flower.mod import agent_of_operator

from .passage import Passage

NODE = 100
STEP = np.float32(0.001)
"""By which training, which is not what is measured here, changes every weight."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply took beyond training; steps are read, answer and write."""

    sent_bytes: int
    steps: dict[str, Spent]
    peak_memory_bytes: int


class Client:
    """A client in a new process; `market` says whether with our mod, which finds its owner home by `environment`."""

    def __init__(self, *, market: bool, environment: Mapping[str, str], training_seconds: int) -> None:
        context = multiprocessing.get_context("spawn")
        arguments = market, dict(environment), training_seconds
        self._process = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=arguments)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._process.shutdown()

    def ask(self, content: RecordDict) -> tuple[RecordDict, Answer]:
        """One exchange; raises `ProtocolError` if the client refuses."""
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
        with TemporaryDirectory() as folder:
            request, reply = Passage(Path(folder, "request")), Passage(Path(folder, "reply"))
            request.send(Message(content, dst_node_id=NODE, message_type="train"), _context())
            answer = self._process.submit(_answer, request, reply).result()
            message = reply.receive()
        if message.has_error():
            raise ProtocolError(f"the client refused: {message.error.reason}")
        return message.content, answer


def train(message: Message, context: Context) -> Message:
    """Change every weight by the same step, over and over for as long as training is to take."""
    start, cpu_start = time.perf_counter(), time.process_time()
    (arrays,) = message.content.array_records.values()
    while True:
        trained = ArrayRecord({name: Array(array.numpy() + STEP) for name, array in arrays.items()})
        if time.perf_counter() - start >= _training_seconds:
            break
    _training.append((time.perf_counter() - start, time.process_time() - cpu_start))
    return Message(RecordDict({"arrays": trained}), reply_to=message)


_training_seconds = 0
_training: list[tuple[float, float]] = []
_app: list[ClientApp] = []


def _begin(market: bool, environment: dict[str, str], training_seconds: int) -> None:
    """Load packages and open the agent, which a process does once: it is no part of what a round takes."""
    global _training_seconds
    _training_seconds = training_seconds
    os.environ.update(environment)
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = NODE
    if market:
        agent_of_operator(_context())
    app = ClientApp(mods=[omnilytics_mod] if market else [])
    app.train()(train)
    _app.append(app)


def _context() -> Context:
    return Context(1, NODE, {"partition-id": "0"}, RecordDict(), {})


def _answer(request: Passage, reply: Passage) -> Answer:
    times = StepTimes()
    with times.step("read"):
        message = request.receive()
        context = _context()
    with times.step("answer"):
        answer = _app[0](message, context)
    if _training:
        seconds, cpu_seconds = _training.pop()
        times.add("answer", Spent(-seconds, -cpu_seconds))
    with times.step("write"):
        reply.send(answer, context)
    return Answer(reply.sent_bytes(), times.steps, peak_memory_bytes())
