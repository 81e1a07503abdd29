"""The agent's socket: who has the token is served, whoever else does whatever, and nobody holds the others up."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from omnilytics_flwr.data_owner.agent_server import MOST_CLIENTS, Service
from omnilytics_flwr.data_owner.agent_socket import SOCKET_NAME, TOKEN_NAME, receive_frame
from omnilytics_flwr.data_owner.messages import MOST_HEADER_BYTES, MOST_REPLY_BYTES, Reply, TaskRequest, decode_reply, encode_request
from omnilytics_flwr.data_owner.owner_agent import OwnerAgent
from omnilytics_flwr.data_owner.remote_agent import RemoteAgent
from omnilytics_flwr.errors import Malformed, OutOfTurn, ProtocolError, Refused, TaskMismatch, UpdateError
from omnilytics_flwr.market.task import TaskId
from tests.data_owner.owners import WEIGHTS, Owner, anchor, live_task, make_owners_scene, open_with, update_of
from tests.support.builders import DictatedVerification, Scene


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Scene, Owner, Service]]:
    """A drawn market whose data owner 0 has its agent behind a socket."""
    scene, owners = make_owners_scene(tmp_path, real=[0], metrics=("loss",), verification=DictatedVerification())
    with Service(owners[0].folder, owners[0].agent(), token_seconds=3.0, request_seconds=6.0) as service:
        yield scene, owners[0], service


def connect(home: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(30.0)
    connection.connect(str(home / SOCKET_NAME))
    return connection


def reply_to(home: Path, *parts: bytes, ends: bool = False) -> Reply:
    """What comes back for these bytes; with `ends`, no more are announced."""
    with connect(home) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        return decode_reply(*receive_frame(connection, MOST_REPLY_BYTES, time.monotonic() + 30))


def test_whole_round_through_the_socket(served: tuple[Scene, Owner, Service]) -> None:
    scene, owner, _ = served
    scene.open()
    scene.settle()
    task, agent = anchor(scene), RemoteAgent(owner.folder)
    assert agent.admit(task).metrics == ("loss",)
    assert agent.admit(task).commitment is None
    commitment = agent.commit(task, update_of(0))
    assert commitment == agent.commit(task, update_of(1)) == agent.admit(task).commitment
    digests = open_with(scene, commitment)
    delivery = agent.deliver(task.chain_id, task.market, task.epoch, task.round, digests)
    assert delivery == owner.agent().deliver(task.chain_id, task.market, task.epoch, task.round, digests)
    assert (len(delivery.vector), len(delivery.points), delivery.metrics) == (131_072, 128, ("loss",))


def test_evaluation_through_the_socket_is_admitted_once(served: tuple[Scene, Owner, Service]) -> None:
    scene, owner, _ = served
    scene.open()
    scene.settle(next_task=b"\5" * 32)
    agent = RemoteAgent(owner.folder)
    assert agent.admit_evaluation(live_task(scene)) == ("loss",)
    with pytest.raises(Refused, match="evaluated already"):
        agent.admit_evaluation(live_task(scene))


def test_refusals_come_back_with_class_and_reason(served: tuple[Scene, Owner, Service]) -> None:
    scene, owner, _ = served
    agent = RemoteAgent(owner.folder)
    task = anchor(scene)
    with pytest.raises(TaskMismatch, match="the market has anchored"):
        agent.admit(TaskId(task.chain_id, task.market, 1, 1, b"\5" * 32))
    with pytest.raises(OutOfTurn) as refusal:
        agent.admit(TaskId(task.chain_id, task.market, 1, 2, task.task_hash))
    assert (refusal.value.stage, refusal.value.event) == ("anchored", "train in round 2 of epoch 1")
    with pytest.raises(Refused, match="nothing is committed here"):
        agent.deliver(task.chain_id, task.market, 1, 1, ())
    with pytest.raises(UpdateError, match="is nan"):
        agent.commit(task, np.full(WEIGHTS, np.nan))


def test_files_are_the_owners_only(served: tuple[Scene, Owner, Service]) -> None:
    _, owner, _ = served
    for name in (SOCKET_NAME, TOKEN_NAME):
        assert stat.S_IMODE((owner.folder / name).stat().st_mode) == 0o600
    assert len((owner.folder / TOKEN_NAME).read_bytes()) == 32


def test_socket_goes_with_the_service_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    _, owners = make_owners_scene(tmp_path, real=[0])
    home, tokens = owners[0].folder, set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(home / SOCKET_NAME))
    for _ in range(2):
        with Service(home, owners[0].agent()) as service:
            tokens.add(service.token)
            with pytest.raises(OutOfTurn):
                RemoteAgent(home).admit(TaskId(31337, owners[0].scene.market.address, 1, 1, bytes(32)))
        assert not (home / SOCKET_NAME).exists()
    assert len(tokens) == 2
    with pytest.raises(Refused, match=r"does not answer .*its operator must start it"):
        RemoteAgent(home).admit(TaskId(31337, owners[0].scene.market.address, 1, 1, bytes(32)))


def test_home_with_too_long_a_path_is_a_named_error(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120)
    home.mkdir()
    _, owners = make_owners_scene(tmp_path, real=[0])
    with pytest.raises(Refused, match="too many for a socket"), Service(home, owners[0].agent()):
        pass
    with pytest.raises(Refused, match="too many for a socket"):
        RemoteAgent(home).admit(TaskId(1, owners[0].scene.market.address, 1, 1, bytes(32)))


def frame_of(task: TaskId) -> bytes:
    return encode_request(TaskRequest("admit", task))


@pytest.mark.parametrize("token", [bytes(32), b"x" * 32, None], ids=["zeros", "text", "one bit"])
def test_wrong_token_is_refused_and_nothing_after_it_is_read(served: tuple[Scene, Owner, Service], token: bytes | None) -> None:
    scene, owner, service = served
    sent = token or bytes([service.token[0] ^ 1]) + service.token[1:]
    reply = reply_to(owner.folder, sent, struct.pack(">II", 2**32 - 1, 2**32 - 1), bytes(1 << 20))
    assert isinstance(reply, Refused)
    assert "the token is not this agent's" in str(reply)
    assert scene.state.round == 0


BROKEN: dict[str, tuple[list[bytes], str]] = {
    "nothing": ([], "ended 32 bytes early"),
    "half a token": ([b"TOKEN16"], "ended 16 bytes early"),
    "token alone": ([b"TOKEN"], "ended 8 bytes early"),
    "half the lengths": ([b"TOKEN", bytes(3)], "ended 5 bytes early"),
    "half a header": ([b"TOKEN", struct.pack(">II", 100, 0), b"{"], "ended 99 bytes early"),
    "half a body": ([b"TOKEN", struct.pack(">II", 2, 100), b"{}x"], "ended 99 bytes early"),
    "huge header": ([b"TOKEN", struct.pack(">II", MOST_HEADER_BYTES + 1, 0)], "expected at most"),
    "huge body": ([b"TOKEN", struct.pack(">II", 2, 2**32 - 1), b"{}"], "expected at most"),
    "no JSON": ([b"TOKEN", struct.pack(">II", 2, 0), b"xx"], "no JSON"),
    "empty mapping": ([b"TOKEN", struct.pack(">II", 2, 0), b"{}"], "not of version"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_message_is_answered_with_its_fault(served: tuple[Scene, Owner, Service], case: str) -> None:
    _, owner, service = served
    parts, reason = BROKEN[case]
    names = {b"TOKEN": service.token, b"TOKEN16": service.token[:16]}
    reply = reply_to(owner.folder, *(names.get(part, part) for part in parts), ends=True)
    assert isinstance(reply, Malformed)
    assert reason in str(reply)


def test_garbage_of_every_kind_leaves_the_service_at_work(served: tuple[Scene, Owner, Service]) -> None:
    scene, owner, service = served
    task, rng = anchor(scene), random.Random(7)
    good = service.token + frame_of(task)
    for number in range(150):
        raw = bytearray(good if number % 2 else good + rng.randbytes(40))
        for _ in range(rng.randrange(1, 5)):
            raw[rng.randrange(32 * (number % 3 > 0), len(raw))] = rng.randrange(256)
        reply = reply_to(owner.folder, bytes(raw[: rng.randrange(len(raw) + 1)]), ends=True)
        assert isinstance(reply, (ProtocolError, Malformed)) or not isinstance(reply, Exception), reply
    assert RemoteAgent(owner.folder).admit(task).commitment is None


def test_slow_clients_are_cut_off_and_hold_nobody_up(served: tuple[Scene, Owner, Service]) -> None:
    scene, owner, service = served
    task = anchor(scene)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(owner.folder)) for _ in range(20)]
        for place, connection in enumerate(slow):
            connection.sendall((service.token + frame_of(task))[: 3 * place])
        start = time.monotonic()
        assert RemoteAgent(owner.folder).admit(task).metrics == ("loss",)
        assert time.monotonic() - start < service.token_seconds, "before any of them was cut off"
        for place, connection in enumerate(slow):
            reply = decode_reply(*receive_frame(connection, MOST_REPLY_BYTES, time.monotonic() + 30))
            assert isinstance(reply, Malformed)
            assert f"lacks {32 - 3 * place} of 32 bytes after the time for it" in str(reply) or place > 10


def test_more_clients_than_there_are_places_for_are_sent_away_and_the_places_come_back(served: tuple[Scene, Owner, Service]) -> None:
    scene, owner, _ = served
    task = anchor(scene)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(owner.folder)) for _ in range(MOST_CLIENTS + 1)]
        assert held[-1].recv(1) == b"", "the last one is sent away at once"
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(Refused, Malformed):
            assert RemoteAgent(owner.folder).admit(task).commitment is None
            return
        assert time.monotonic() < deadline, "the places never came back"


@dataclass
class Hindered:
    """An agent that waits for a word in the middle of its work, or fails in it."""

    inner: OwnerAgent
    error: Exception | None = None
    at_work: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def admit(self, task: TaskId) -> object:
        self.at_work.set()
        assert self.go_on.wait(60)
        if self.error is not None:
            raise self.error
        return self.inner.admit(task)


def test_end_waits_for_who_is_being_answered_and_for_nobody_else(tmp_path: Path) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    task, home, agent = anchor(scene), owners[0].folder, Hindered(owners[0].agent())
    with ThreadPoolExecutor(1) as pool:
        with Service(home, agent) as service:  # type: ignore[arg-type]
            answered = pool.submit(RemoteAgent(home).admit, task)
            assert agent.at_work.wait(60)
            idle = connect(home)
            idle.sendall(service.token)
            threading.Timer(0.2, agent.go_on.set).start()
            start = time.monotonic()
        assert time.monotonic() - start < service.request_seconds / 2
        assert answered.result().commitment is None
        idle.close()


def test_failure_that_nobody_foresaw_is_told_to_the_log_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    agent = Hindered(owners[0].agent(), error=ZeroDivisionError("patient 4711"))
    agent.go_on.set()
    with Service(owners[0].folder, agent):  # type: ignore[arg-type]
        with pytest.raises(ProtocolError) as refusal:
            RemoteAgent(owners[0].folder).admit(anchor(scene))
        assert str(refusal.value) == "the owner agent failed; its log says why"
    assert "patient 4711" in caplog.text


def test_agent_that_dies_in_the_middle_of_an_answer_is_a_named_error(tmp_path: Path) -> None:
    home = tmp_path
    (home / TOKEN_NAME).write_bytes(bytes(32))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(home / SOCKET_NAME))
        listener.listen()

        def die_after(said: bytes) -> None:
            connection, _ = listener.accept()
            connection.recv(1 << 16)
            connection.sendall(said)
            connection.close()

        task = TaskId(1, make_address(), 1, 1, bytes(32))
        for said in (b"", bytes(5), struct.pack(">II", 10, 0) + b"{"):
            thread = threading.Thread(target=die_after, args=(said,))
            thread.start()
            with pytest.raises((Refused, Malformed)):
                RemoteAgent(home).admit(task)
            thread.join()


def make_address() -> str:
    return "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def test_token_is_read_again_for_every_request(served: tuple[Scene, Owner, Service]) -> None:
    scene, owner, service = served
    agent, task = RemoteAgent(owner.folder), anchor(scene)
    os.rename(owner.folder / TOKEN_NAME, owner.folder / "kept")
    (owner.folder / TOKEN_NAME).write_bytes(bytes(32))
    with pytest.raises(Refused, match="the token is not this agent's"):
        agent.admit(task)
    os.rename(owner.folder / "kept", owner.folder / TOKEN_NAME)
    assert agent.admit(task).commitment is None
    assert service.token.hex() not in repr(agent)
