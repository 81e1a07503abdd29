"""The local socket between a Flower client and the owner agent's process: its files, and frames read within bounds.

A frame is one byte for the version of this protocol, 4 bytes for the length of the message (big-endian), and the message.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from io import BytesIO
from pathlib import Path

from ..errors import Malformed, Refused

SOCKET_NAME = "agent.sock"
TOKEN_NAME = "agent.token"  # noqa: S105 - a file's name
TOKEN_BYTES = 32
VERSION = 5
_HEAD = struct.Struct(">BI")
_MOST_PATH_BYTES = 104
"""The shortest limit of any system on the path of a socket."""
_CHUNK_BYTES = 1 << 20


def socket_path(folder: Path) -> str:
    """Path of the socket in a folder; raises `Refused` if it is too long for one."""
    path = str(folder / SOCKET_NAME)
    if len(os.fsencode(path)) >= _MOST_PATH_BYTES:
        raise Refused(
            f"the folder of the agent's socket has a path of {len(str(folder))} characters, too many for a socket in it; "
            "move the owner home up, or name a run-folder"
        )
    return path


def head_of(message: bytes) -> bytes:
    """What travels before a message; apart from it, so that a large one is not copied."""
    return _HEAD.pack(VERSION, len(message))


def receive_message(connection: socket.socket, most_bytes: int, deadline: float) -> bytes:
    """The next message; raises `Malformed` if it is of another version, too long, ends early, or misses the deadline."""
    return receive_exactly(connection, receive_length(connection, most_bytes, deadline), deadline)


def receive_length(connection: socket.socket, most_bytes: int, deadline: float) -> int:
    """Length of the next message, which then is to be received; raises `Malformed` as `receive_message` does."""
    version: int
    length: int
    version, length = _HEAD.unpack(receive_exactly(connection, _HEAD.size, deadline))
    if version != VERSION:
        raise Malformed(f"a message is of version {version}, expected {VERSION}; use the same release on both sides")
    if length > most_bytes:
        raise Malformed(f"a message has {length} bytes, expected at most {most_bytes}")
    return length


def receive_exactly(connection: socket.socket, count: int, deadline: float) -> bytes:
    """The next `count` bytes; raises `Malformed` if they end early or miss the deadline, on the clock of `time.monotonic`."""
    received, missing = BytesIO(), count
    while missing:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise Malformed(f"a message lacks {missing} of {count} bytes at its deadline; send it at once")
        connection.settimeout(remaining)
        try:
            # Memory grows with the bytes that arrive, not with the length that is announced.
            part = connection.recv(min(missing, _CHUNK_BYTES))
        except TimeoutError:
            continue
        if not part:
            raise Malformed(f"a message ended {missing} bytes early of {count}; ask again")
        missing -= received.write(part)
    return received.getvalue()
