"""What a data owner's Flower client keeps between two messages: in the owner home, since a new run of Flower begins without its state."""

from __future__ import annotations

import re
from pathlib import Path

from ..crypto.hashing import keccak256
from ..errors import Malformed
from ..files import make_folder, write_file

_NAME = re.compile("[a-z0-9-]{1,64}")


class ClientState:
    """Content by market and name, in a folder that only its owner can read, and that is made if missing.

    A file's first line is the Keccak-256 of the rest, in hexadecimal.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, market_id: str, name: str, content: bytes) -> None:
        """Keep content in place of what was kept under that name; returns when it would survive a power cut."""
        path = self._path(market_id, name)
        make_folder(self._folder)
        write_file(path, keccak256(content).hex().encode() + b"\n" + content)

    def kept(self, market_id: str, name: str) -> bytes:
        """The content of that name, empty if there is none; raises `Malformed` for a damaged file."""
        path = self._path(market_id, name)
        if not path.exists():
            return b""
        check, _, content = path.read_bytes().partition(b"\n")
        if check != keccak256(content).hex().encode():
            raise Malformed(f"{path} is damaged; expected what this data owner's client kept; remove it to begin again without")
        return content

    def _path(self, market_id: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Malformed(f"{name!r} names no state of a client; expected up to 64 small letters, digits and hyphens")
        return self._folder / f"{market_id}-{name}.state"
