"""Files that survive a power cut and a kill at any moment: complete, or not there.

What is being written has the suffix ``.tmp``; a crash may leave such a file behind, and `remove_leftovers` deletes it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

LEFTOVER = ".tmp"


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can read, unless it is there."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file, or put it in the place of an old one; returns only when it would survive a power cut."""
    temporary = _temporary(path, content)
    os.replace(temporary, path)
    sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> bool:
    """Write a file unless there is one; of all who try, whatever their process, exactly one gets True."""
    temporary = _temporary(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    sync_folder(path.parent)
    return True


def delete_file(path: Path) -> None:
    """Delete a file, if it is there, for good."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete what a crash left half written; the caller sees to it that nobody is writing."""
    for path in folder.glob(f"*{LEFTOVER}"):
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Return only when the names in a folder would survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path, content: bytes) -> str:
    """A synced file of that content in the folder of `path`, readable by its owner only."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=LEFTOVER)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary
