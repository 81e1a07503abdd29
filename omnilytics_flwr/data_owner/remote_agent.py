"""The owner agent's process as a Flower client sees it. Light to import: such a client lives for one message."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import Refused
from ..market.task import TaskId
from .agent_messages import MOST_REPLY_BYTES, AdmitCall, Call, CommitCall, DeliverCall, EvaluateCall, KeepCall, KeptCall, decode_reply
from .agent_socket import TOKEN_NAME, head_of, receive_message, socket_path
from .owner_agent import Admission, MaskedUpdate, SignedCommitment

if TYPE_CHECKING:
    from ..crypto.address import Address

NO_REPLY = "the owner agent of this data owner does not reply"

REPLY_SECONDS = 900.0
"""A large update takes minutes to mask and commit, and clients are served one after the other."""

T = TypeVar("T")


class RemoteAgent:
    """An owner agent that is a process of its own; implements `omnilytics_flwr.data_owner.owner_agent.OwnerAgent`.

    Every method raises what the agent raises, of the same class where this process knows it, and `Refused` if there is no agent.

    Parameters
    ----------
    folder : Path
        Where its socket is: its run folder, or the owner home if it has none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"RemoteAgent({self._folder})"

    def admit(self, task: TaskId) -> Admission:
        """See `OwnerAgent.admit`."""
        return self._call(AdmitCall(task), Admission)

    def admit_evaluation(self, task: TaskId) -> tuple[str, ...]:
        """See `OwnerAgent.admit_evaluation`."""
        return self._call(EvaluateCall(task), tuple[str, ...])

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """See `OwnerAgent.commit`."""
        return self._call(CommitCall.of(task, update), SignedCommitment)

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """See `OwnerAgent.deliver`."""
        return self._call(DeliverCall(chain_id, market, epoch, round_number, digests), MaskedUpdate)

    def keep(self, chain_id: int, market: Address, name: str, content: bytes) -> None:
        """See `OwnerAgent.keep`."""
        self._call(KeepCall(chain_id, market, name, content), type(None))

    def kept(self, chain_id: int, market: Address, name: str) -> bytes:
        """See `OwnerAgent.kept`."""
        return self._call(KeptCall(chain_id, market, name), bytes)

    def _call(self, call: Call, expected: type[T]) -> T:
        message = msgspec.msgpack.encode(call)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(REPLY_SECONDS)
            try:
                connection.connect(socket_path(self._folder))
                token = (self._folder / TOKEN_NAME).read_bytes()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused already: the reply says why
                    connection.sendall(token + head_of(message))
                    connection.sendall(message)
                reply = receive_message(connection, MOST_REPLY_BYTES, time.monotonic() + REPLY_SECONDS)
            except OSError as error:
                raise Refused(
                    f"{NO_REPLY} ({error.strerror or type(error).__name__}); "
                    "its operator must start it, or let this user's group into its run-folder"
                ) from error
        return decode_reply(reply, expected)
