"""The local socket between a Flower client and the owner agent's process: its files, and reading from it within bounds."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from ..errors import Malformed, Refused
from .messages import LENGTHS_BYTES, frame_lengths

SOCKET_NAME = "agent.sock"
TOKEN_NAME = "agent.token"  # noqa: S105 - a file's name
MOST_SOCKET_PATH = 104
"""Bytes that every system takes in the path of a socket."""
_CHUNK_BYTES = 1 << 20


def socket_path(home: Path) -> str:
    """Path of a home's socket; raises `Refused` if it is too long for one."""
    path = str(home / SOCKET_NAME)
    if len(os.fsencode(path)) >= MOST_SOCKET_PATH:
        raise Refused(f"the path of the owner home has {len(str(home))} characters, too many for a socket in it; move the home up")
    return path


def receive_frame(connection: socket.socket, most_body: int, deadline: float) -> tuple[bytes, bytes]:
    """Header and body of the next frame; raises `Malformed` if it is too long, ends early, or is not there by the deadline."""
    header, body = frame_lengths(receive_exactly(connection, LENGTHS_BYTES, deadline), most_body)
    return receive_exactly(connection, header, deadline), receive_exactly(connection, body, deadline)


def receive_exactly(connection: socket.socket, count: int, deadline: float) -> bytes:
    """The next `count` bytes.

    Parameters
    ----------
    connection : socket
    count : int
        Memory is taken as bytes come, not as they are announced.
    deadline : float
        On the clock of `time.monotonic`.

    Raises
    ------
    Malformed
        The message ends before, or is not there by the deadline.
    """
    parts, missing = [], count
    while missing:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise Malformed(f"a message lacks {missing} of {count} bytes after the time for it; expected all of it; send it at once")
        connection.settimeout(remaining)
        try:
            part = connection.recv(min(missing, _CHUNK_BYTES))
        except TimeoutError:
            continue
        if not part:
            raise Malformed(f"a message ended {missing} bytes early of {count}; expected all of it; ask again")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
