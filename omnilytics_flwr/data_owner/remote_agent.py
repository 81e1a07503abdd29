"""The owner agent's process as a Flower client sees it; light, for such a client lives for one message."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import Malformed, OmnilyticsError, Refused
from ..market.task import TaskId
from .agent_socket import TOKEN_NAME, receive_frame, socket_path
from .messages import MOST_REPLY_BYTES, CommitRequest, DeliverRequest, Request, TaskRequest, decode_reply, encode_request
from .owner_agent import Admission, Delivery, SignedCommitment

if TYPE_CHECKING:
    from ..market.terms import Address

ANSWER_SECONDS = 900.0
"""A large update is masked and committed for minutes, one after the other if several clients ask."""

T = TypeVar("T", Admission, tuple, SignedCommitment, Delivery)  # type: ignore[type-arg]


class RemoteAgent:
    """The owner agent of a home whose agent is a process of its own; implements `omnilytics_flwr.data_owner.owner_agent.OwnerAgent`.

    Every method raises what the agent raises, of the same class where this process knows it, and `Refused` if there is no agent.

    Parameters
    ----------
    home : Path
        The owner home.
    answer_seconds : float, > 0 (default: 900)
        Time limit of an answer.
    """

    def __init__(self, home: Path, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._home = home
        self._answer_seconds = answer_seconds

    def __repr__(self) -> str:
        return f"RemoteAgent({self._home})"

    def admit(self, task: TaskId) -> Admission:
        """See `OwnerAgent.admit`."""
        return self._ask(TaskRequest("admit", task), Admission)

    def admit_evaluation(self, task: TaskId) -> tuple[str, ...]:
        """See `OwnerAgent.admit_evaluation`."""
        return self._ask(TaskRequest("evaluate", task), tuple)

    def commit(self, task: TaskId, update: NDArray[np.float64]) -> SignedCommitment:
        """See `OwnerAgent.commit`."""
        return self._ask(CommitRequest(task, update), SignedCommitment)

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> Delivery:
        """See `OwnerAgent.deliver`."""
        return self._ask(DeliverRequest(chain_id, market, epoch, round_number, digests), Delivery)

    def _ask(self, request: Request, expected: type[T]) -> T:
        frame = encode_request(request)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._answer_seconds)
            try:
                connection.connect(socket_path(self._home))
                token = (self._home / TOKEN_NAME).read_bytes()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused already: the reply says why
                    connection.sendall(token + frame)
                header, body = receive_frame(connection, MOST_REPLY_BYTES, time.monotonic() + self._answer_seconds)
            except OSError as error:
                raise Refused(
                    f"the owner agent of this data owner does not answer ({error.strerror or type(error).__name__}); "
                    "expected its process at work; its operator must start it"
                ) from error
        reply = decode_reply(header, body)
        if isinstance(reply, OmnilyticsError):
            raise reply
        if not isinstance(reply, expected):
            raise Malformed(f"the owner agent answered with a {type(reply).__name__}, expected a {expected.__name__}; use one release")
        return reply
