"""What a data owner's Flower client keeps between two messages: in the owner home, since a new run of Flower begins without its state.

The app of a run is the model owner's, and the disk holds what the agent needs to answer an accusation: so little names and bytes are kept.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..crypto.hashing import keccak256
from ..errors import Malformed
from ..files import delete_file, locked, make_folder, remove_leftovers, write_file

MOST_FILES = 4
"""In a folder, of all markets; whatever was kept longest ago goes first."""
MOST_BYTES = 2**28
"""Of all files in a folder together, and so of each: a private part of 67 million float32 weights."""

_NAME = re.compile("metrics|private-[0-9a-f]{32}")


class ClientState:
    """Content by market and name, in a folder that only its owner can read, and that is made if missing.

    A file's first line is the Keccak-256 of the rest, in hexadecimal.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, market_id: str, name: str, content: bytes) -> None:
        """Keep content in place of what was kept under that name, and forget what was kept longest ago if it becomes too much.

        Returns when it would survive a power cut; raises `Malformed` for more than `MOST_BYTES` and for a name that is none.
        """
        path, whole = self._path(market_id, name), keccak256(content).hex().encode() + b"\n" + content
        if len(whole) > MOST_BYTES:
            raise Malformed(f"{name} has {len(whole)} bytes with its hash, expected at most {MOST_BYTES}; keep less")
        make_folder(self._folder)
        with locked(self._folder / ".lock"):
            remove_leftovers(self._folder)
            self._make_room(path, len(whole))
            write_file(path, whole)

    def _make_room(self, path: Path, new_bytes: int) -> None:
        """Forget the oldest files but the one at `path` until another of so many bytes fits; the old one at `path` goes too if it must."""
        kept = sorted((one for one in self._folder.glob("*.state") if one != path), key=lambda one: one.stat().st_mtime_ns)
        sizes = {one: one.stat().st_size for one in kept}
        while len(kept) >= MOST_FILES or sum(sizes[one] for one in kept) + new_bytes > MOST_BYTES:
            delete_file(kept.pop(0))

    def kept(self, market_id: str, name: str) -> bytes:
        """The content of that name, empty if there is none; raises `Malformed` for a damaged file."""
        path = self._path(market_id, name)
        if not path.exists():
            return b""
        check, _, content = path.read_bytes().partition(b"\n")
        if check != keccak256(content).hex().encode():
            raise Malformed(
                f"{path.name} in the owner home is damaged; expected what this data owner's client kept; remove it to begin again without"
            )
        return content

    def _path(self, market_id: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Malformed(f"{name!r} names no state of a client; expected metrics, or private- and 32 hexadecimal digits")
        return self._folder / f"{market_id}-{name}.state"
