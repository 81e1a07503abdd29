"""The agent's socket: who has the token is served, whoever else does whatever, and nobody holds the others up."""

from __future__ import annotations

import contextlib
import random
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest

from omnilytics_flwr.data_owner.agent_messages import MOST_CALL_BYTES, MOST_REPLY_BYTES, AdmitCall, decode_reply
from omnilytics_flwr.data_owner.agent_server import LARGE_CALL_BYTES, MOST_CLIENTS, AgentServer
from omnilytics_flwr.data_owner.agent_socket import SOCKET_NAME, TOKEN_NAME, VERSION, head_of, receive_message
from omnilytics_flwr.data_owner.owner_agent import Admission
from omnilytics_flwr.data_owner.remote_agent import RemoteAgent
from omnilytics_flwr.errors import Malformed, ProtocolError, Refused, WireError
from omnilytics_flwr.market.task import TaskId
from tests.data_owner.owners import Owner, anchor, live_task, lone_owner, lone_task, open_with, update_of
from tests.support.builders import MARKET, DictatedVerification, Scene


def framed(message: bytes) -> bytes:
    return head_of(message) + message


HEAD = struct.Struct(">BI")
TASK = TaskId(31337, MARKET, 1, 1, bytes(32))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Scene, Owner, AgentServer]]:
    """A drawn market whose data owner 0 has its agent behind a socket."""
    scene, owner = lone_owner(tmp_path, metrics=("loss",), verification=DictatedVerification())
    with AgentServer(owner.folder, owner.agent(), token_seconds=3.0, call_seconds=6.0, turn_seconds=1.0) as server:
        yield scene, owner, server


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
    assert agent.admit(task) == Admission(("loss",), None, 1.0)
    commitment = agent.commit(task, update_of(0))
    assert commitment == agent.commit(task, update_of(1)) == agent.admit(task).commitment
    agent.keep(task.chain_id, task.market, "metrics", b"\1\2")
    assert agent.kept(task.chain_id, task.market, "metrics") == owner.agent().kept(task.chain_id, task.market, "metrics") == b"\1\2"
    assert agent.kept(task.chain_id, task.market, "private-" + "0" * 32) == b""
    digests = open_with(scene, commitment)
    delivery = agent.deliver(task.chain_id, task.market, task.epoch, task.round, digests)
    assert delivery == owner.deliver(task, digests)
    assert (len(delivery.vector), len(delivery.points), delivery.metrics) == (131_072, 96, ("loss",))


def test_files_are_the_owners_only(served: tuple[Scene, Owner, AgentServer]) -> None:
    _, owner, _ = served
    for name in (SOCKET_NAME, TOKEN_NAME):
        assert stat.S_IMODE((owner.folder / name).stat().st_mode) == 0o600
    assert len((owner.folder / TOKEN_NAME).read_bytes()) == 32


def test_socket_goes_with_the_server_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    _, owner, task = lone_task(tmp_path)
    socket_file, tokens = owner.folder / SOCKET_NAME, set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(socket_file))
    for _ in range(2):
        with AgentServer(owner.folder, owner.agent()) as server:
            tokens.add(server.token)
            assert RemoteAgent(owner.folder).admit(task).commitment is None
        assert not socket_file.exists()
    assert len(tokens) == 2
    with pytest.raises(Refused, match=r"does not reply .*its operator must start it"):
        RemoteAgent(owner.folder).admit(task)


def test_home_with_too_long_a_path_is_a_named_error(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120)
    with pytest.raises(Refused, match="too many for a socket"), AgentServer(home, Mock()):
        pass
    with pytest.raises(Refused, match="too many for a socket"):
        RemoteAgent(home).admit(TASK)


@pytest.mark.parametrize("token", [bytes(32), b"x" * 32, None], ids=["zeros", "text", "one bit"])
def test_wrong_token_is_refused_and_nothing_after_it_is_read(served: tuple[Scene, Owner, AgentServer], token: bytes | None) -> None:
    scene, owner, server = served
    sent = token or bytes([server.token[0] ^ 1]) + server.token[1:]
    with pytest.raises(Refused, match="the token is not this agent's"):
        send(owner.folder, sent, HEAD.pack(VERSION, 2**32 - 1), bytes(1 << 20))
    assert scene.state.round == 0


def test_large_calls_are_read_one_at_a_time_and_small_ones_are_not_held_up(served: tuple[Scene, Owner, AgentServer]) -> None:
    """Else an app could fill the agent's memory, and an accusation would go unanswered."""
    scene, owner, server = served
    task = anchor(scene)
    with server.large_call:
        assert RemoteAgent(owner.folder).admit(task).metrics == ("loss",)
        with pytest.raises(Refused, match="at work on other large calls"):
            send(owner.folder, server.token, HEAD.pack(VERSION, LARGE_CALL_BYTES + 1))
    content = bytes(LARGE_CALL_BYTES)
    for _ in range(2):
        RemoteAgent(owner.folder).keep(task.chain_id, task.market, "metrics", content)
    assert RemoteAgent(owner.folder).kept(task.chain_id, task.market, "metrics") == content
    assert not server.large_call.locked()


BROKEN: dict[str, tuple[int, bytes, str]] = {
    "nothing": (0, b"", "ended 32 bytes early"),
    "half a token": (16, b"", "ended 16 bytes early"),
    "token alone": (32, b"", "ended 5 bytes early"),
    "half the length": (32, bytes([VERSION, 0]), "ended 3 bytes early"),
    "half a message": (32, HEAD.pack(VERSION, 100) + b"x", "ended 99 bytes early"),
    "huge message": (32, HEAD.pack(VERSION, MOST_CALL_BYTES + 1), f"expected at most {MOST_CALL_BYTES}"),
    "no message": (32, framed(b"xx"), "does not decode"),
    "other version": (32, HEAD.pack(1, 2) + b"{}", "is of version 1, expected 5"),
}
"""Bytes of the token that are sent, what follows, and what is said of it."""


@pytest.mark.parametrize("case", BROKEN)
def test_broken_message_is_answered_with_its_fault(served: tuple[Scene, Owner, AgentServer], case: str) -> None:
    _, owner, server = served
    token_bytes, rest, reason = BROKEN[case]
    with pytest.raises(Malformed, match=reason):
        send(owner.folder, server.token[:token_bytes] + rest, ends=True)


def test_garbage_of_every_kind_leaves_the_service_at_work(served: tuple[Scene, Owner, AgentServer]) -> None:
    scene, owner, server = served
    task, rng = anchor(scene), random.Random(7)
    good = server.token + framed(msgspec.msgpack.encode(AdmitCall(task)))
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
            connection.sendall((server.token + framed(msgspec.msgpack.encode(AdmitCall(task))))[: 3 * place])
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


def test_end_waits_for_who_is_being_answered_and_for_nobody_else(tmp_path: Path) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def admit(task: TaskId) -> Admission:
        at_work.set()
        assert go_on.wait(60)
        return Admission((), None)

    with ThreadPoolExecutor(1) as pool:
        with AgentServer(tmp_path, Mock(admit=admit)) as server:
            answered = pool.submit(RemoteAgent(tmp_path).admit, TASK)
            assert at_work.wait(60)
            idle = connect(tmp_path)
            idle.sendall(server.token)
            threading.Timer(0.2, go_on.set).start()
            start = time.monotonic()
        assert time.monotonic() - start < server.call_seconds / 2
        assert answered.result() == Admission((), None)
        idle.close()


def test_failure_that_nobody_foresaw_is_told_to_the_log_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    agent = Mock()
    agent.admit.side_effect = ZeroDivisionError("patient 4711")
    with AgentServer(tmp_path, agent), pytest.raises(ProtocolError, match=r"^the owner agent failed; its log says why$"):
        RemoteAgent(tmp_path).admit(TASK)
    assert "patient 4711" in caplog.text


@pytest.mark.parametrize("said", [b"", bytes(5), HEAD.pack(VERSION, 10) + b"{"], ids=["nothing", "a head", "half a reply"])
def test_agent_that_dies_in_the_middle_of_a_reply_is_a_named_error(tmp_path: Path, said: bytes) -> None:
    (tmp_path / TOKEN_NAME).write_bytes(bytes(32))

    def die() -> None:
        with listener.accept()[0] as connection:
            connection.recv(1 << 16)
            connection.sendall(said)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(str(tmp_path / SOCKET_NAME))
        listener.listen()
        pool.submit(die)
        with pytest.raises((Refused, Malformed)):
            RemoteAgent(tmp_path).admit(TASK)


def test_token_is_read_again_for_every_request(served: tuple[Scene, Owner, AgentServer]) -> None:
    scene, owner, server = served
    agent, task = RemoteAgent(owner.folder), anchor(scene)
    for token in (bytes(32), server.token):
        (owner.folder / TOKEN_NAME).write_bytes(token)
        with pytest.raises(Refused, match="the token is not this agent's") if token != server.token else contextlib.nullcontext():
            agent.admit(task)
    assert server.token.hex() not in repr(agent)
