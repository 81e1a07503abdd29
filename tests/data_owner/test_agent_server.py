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

import msgspec
import numpy as np
import pytest

from omnilytics_flwr.data_owner.agent_server import MOST_CLIENTS, AgentServer
from omnilytics_flwr.data_owner.agent_socket import SOCKET_NAME, TOKEN_NAME, VERSION, frame, receive_message
from omnilytics_flwr.data_owner.messages import MOST_CALL_BYTES, MOST_REPLY_BYTES, AdmitCall, decode_reply
from omnilytics_flwr.data_owner.owner_agent import Admission, OwnerAgent
from omnilytics_flwr.data_owner.remote_agent import RemoteAgent
from omnilytics_flwr.errors import Malformed, OutOfTurn, ProtocolError, Refused, UpdateError, WireError
from omnilytics_flwr.market.task import TaskId
from tests.data_owner.owners import WEIGHTS, Owner, anchor, live_task, make_owners_scene, open_with, update_of
from tests.support.builders import MARKET, DictatedVerification, Scene


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Scene, Owner, AgentServer]]:
    """A drawn market whose data owner 0 has its agent behind a socket."""
    scene, owners = make_owners_scene(tmp_path, real=[0], metrics=("loss",), verification=DictatedVerification())
    with AgentServer(owners[0].folder, owners[0].agent(), token_seconds=3.0, call_seconds=6.0) as server:
        yield scene, owners[0], server


def connect(home: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(30.0)
    connection.connect(str(home / SOCKET_NAME))
    return connection


def reply_on(connection: socket.socket) -> Admission:
    return decode_reply(receive_message(connection, MOST_REPLY_BYTES, time.monotonic() + 30), Admission)


def send(home: Path, *parts: bytes, ends: bool = False) -> Admission:
    """What comes back for these bytes, raised if it is an error; with `ends`, no more are announced."""
    with connect(home) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        return reply_on(connection)


def test_whole_round_through_the_socket(served: tuple[Scene, Owner, AgentServer]) -> None:
    scene, owner, _ = served
    scene.open()
    scene.settle(next_task=b"\5" * 32)
    agent = RemoteAgent(owner.folder)
    assert agent.admit_evaluation(live_task(scene)) == ("loss",)
    with pytest.raises(Refused, match="evaluated already"):
        agent.admit_evaluation(live_task(scene))
    task = anchor(scene)
    with pytest.raises(UpdateError, match="is nan"):
        agent.commit(task, np.full(WEIGHTS, np.nan))
    assert agent.admit(task).metrics == ("loss",)
    assert agent.admit(task).commitment is None
    commitment = agent.commit(task, update_of(0))
    assert commitment == agent.commit(task, update_of(1)) == agent.admit(task).commitment
    digests = open_with(scene, commitment)
    delivery = agent.deliver(task.chain_id, task.market, task.epoch, task.round, digests)
    assert delivery == owner.deliver(task, digests)
    assert (len(delivery.vector), len(delivery.points), delivery.metrics) == (131_072, 128, ("loss",))


def test_files_are_the_owners_only(served: tuple[Scene, Owner, AgentServer]) -> None:
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
        with AgentServer(home, owners[0].agent()) as server:
            tokens.add(server.token)
            with pytest.raises(OutOfTurn):
                RemoteAgent(home).admit(TaskId(31337, owners[0].scene.market.address, 1, 1, bytes(32)))
        assert not (home / SOCKET_NAME).exists()
    assert len(tokens) == 2
    with pytest.raises(Refused, match=r"does not reply .*its operator must start it"):
        RemoteAgent(home).admit(TaskId(31337, owners[0].scene.market.address, 1, 1, bytes(32)))


def test_home_with_too_long_a_path_is_a_named_error(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120)
    home.mkdir()
    _, owners = make_owners_scene(tmp_path, real=[0])
    with pytest.raises(Refused, match="too many for a socket"), AgentServer(home, owners[0].agent()):
        pass
    with pytest.raises(Refused, match="too many for a socket"):
        RemoteAgent(home).admit(TaskId(1, owners[0].scene.market.address, 1, 1, bytes(32)))


def frame_of(task: TaskId) -> bytes:
    return frame(msgspec.msgpack.encode(AdmitCall(task)))


@pytest.mark.parametrize("token", [bytes(32), b"x" * 32, None], ids=["zeros", "text", "one bit"])
def test_wrong_token_is_refused_and_nothing_after_it_is_read(served: tuple[Scene, Owner, AgentServer], token: bytes | None) -> None:
    scene, owner, server = served
    sent = token or bytes([server.token[0] ^ 1]) + server.token[1:]
    with pytest.raises(Refused, match="the token is not this agent's"):
        send(owner.folder, sent, struct.pack(">BI", VERSION, 2**32 - 1), bytes(1 << 20))
    assert scene.state.round == 0


BROKEN: dict[str, tuple[list[bytes], str]] = {
    "nothing": ([], "ended 32 bytes early"),
    "half a token": ([b"TOKEN16"], "ended 16 bytes early"),
    "token alone": ([b"TOKEN"], "ended 5 bytes early"),
    "half the length": ([b"TOKEN", bytes([VERSION, 0])], "ended 3 bytes early"),
    "half a message": ([b"TOKEN", struct.pack(">BI", VERSION, 100), b"x"], "ended 99 bytes early"),
    "huge message": ([b"TOKEN", struct.pack(">BI", VERSION, MOST_CALL_BYTES + 1)], f"expected at most {MOST_CALL_BYTES}"),
    "no message": ([b"TOKEN", frame(b"xx")], "does not decode"),
    "other version": ([b"TOKEN", struct.pack(">BI", 1, 2), b"{}"], "is of version 1, expected 2"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_message_is_answered_with_its_fault(served: tuple[Scene, Owner, AgentServer], case: str) -> None:
    _, owner, server = served
    parts, reason = BROKEN[case]
    names = {b"TOKEN": server.token, b"TOKEN16": server.token[:16]}
    with pytest.raises(Malformed, match=reason):
        send(owner.folder, *(names.get(part, part) for part in parts), ends=True)


def test_garbage_of_every_kind_leaves_the_service_at_work(served: tuple[Scene, Owner, AgentServer]) -> None:
    scene, owner, server = served
    task, rng = anchor(scene), random.Random(7)
    good = server.token + frame_of(task)
    for number in range(150):
        raw = bytearray(good if number % 2 else good + rng.randbytes(40))
        for _ in range(rng.randrange(1, 5)):
            raw[rng.randrange(32 * (number % 3 > 0), len(raw))] = rng.randrange(256)
        with contextlib.suppress(ProtocolError, WireError):
            send(owner.folder, bytes(raw[: rng.randrange(len(raw) + 1)]), ends=True)
    assert RemoteAgent(owner.folder).admit(task).commitment is None


def test_slow_clients_are_cut_off_and_hold_nobody_up(served: tuple[Scene, Owner, AgentServer]) -> None:
    scene, owner, server = served
    task = anchor(scene)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(owner.folder)) for _ in range(20)]
        for place, connection in enumerate(slow):
            connection.sendall((server.token + frame_of(task))[: 3 * place])
        start = time.monotonic()
        assert RemoteAgent(owner.folder).admit(task).metrics == ("loss",)
        assert time.monotonic() - start < server.token_seconds, "before any of them was cut off"
        for place, connection in enumerate(slow):
            with pytest.raises(Malformed, match=f"lacks {32 - 3 * place} of 32 bytes at its deadline" if place <= 10 else "lacks"):
                reply_on(connection)


def test_more_clients_than_there_are_places_for_are_sent_away_and_the_places_come_back(served: tuple[Scene, Owner, AgentServer]) -> None:
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
        with AgentServer(home, agent) as server:  # type: ignore[arg-type]
            answered = pool.submit(RemoteAgent(home).admit, task)
            assert agent.at_work.wait(60)
            idle = connect(home)
            idle.sendall(server.token)
            threading.Timer(0.2, agent.go_on.set).start()
            start = time.monotonic()
        assert time.monotonic() - start < server.call_seconds / 2
        assert answered.result().commitment is None
        idle.close()


def test_failure_that_nobody_foresaw_is_told_to_the_log_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene, owners = make_owners_scene(tmp_path, real=[0])
    agent = Hindered(owners[0].agent(), error=ZeroDivisionError("patient 4711"))
    agent.go_on.set()
    with AgentServer(owners[0].folder, agent):  # type: ignore[arg-type]
        with pytest.raises(ProtocolError) as refusal:
            RemoteAgent(owners[0].folder).admit(anchor(scene))
        assert str(refusal.value) == "the owner agent failed; its log says why"
    assert "patient 4711" in caplog.text


def test_agent_that_dies_in_the_middle_of_a_reply_is_a_named_error(tmp_path: Path) -> None:
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

        task = TaskId(1, MARKET, 1, 1, bytes(32))
        for said in (b"", bytes(5), struct.pack(">BI", VERSION, 10) + b"{"):
            thread = threading.Thread(target=die_after, args=(said,))
            thread.start()
            with pytest.raises((Refused, Malformed)):
                RemoteAgent(home).admit(task)
            thread.join()


def test_token_is_read_again_for_every_request(served: tuple[Scene, Owner, AgentServer]) -> None:
    scene, owner, server = served
    agent, task = RemoteAgent(owner.folder), anchor(scene)
    os.rename(owner.folder / TOKEN_NAME, owner.folder / "kept")
    (owner.folder / TOKEN_NAME).write_bytes(bytes(32))
    with pytest.raises(Refused, match="the token is not this agent's"):
        agent.admit(task)
    os.rename(owner.folder / "kept", owner.folder / TOKEN_NAME)
    assert agent.admit(task).commitment is None
    assert server.token.hex() not in repr(agent)
