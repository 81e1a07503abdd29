"""Files that survive a power cut and a kill at any moment (complete, or not there), and locks that end with their process.

A file being written has the suffix ``.tmp``. A crash may leave one behind; `remove_leftovers` deletes it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import OmnilyticsError
from .system import NO_POSIX, POSIX_MODULE

try:
    import fcntl
except ModuleNotFoundError:
    raise ModuleNotFoundError(NO_POSIX, name=POSIX_MODULE) from None

LEFTOVER = ".tmp"


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can read, unless it is there."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)


def share(path: Path, group: int | None, mode: int) -> None:
    """Give a file or folder of one's own to a group, and these rights to its members; nothing happens without a group."""
    if group is not None:
        os.chown(path, -1, group)
        os.chmod(path, mode)  # after the group is set: nobody of another group had them


def write_file(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """Write or replace a file, readable by its owner only; returns when it would survive a power cut.

    Parameters
    ----------
    path : Path
    content : bytes or callable
        A callable writes to the open file itself.
    """
    temporary = _temporary(path, content)
    os.replace(temporary, path)
    sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> bool:
    """Write a file unless there is one; of all processes that try, exactly one gets True."""
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
    """Delete a file for good, if it is there."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete what a crash left half written; the caller ensures that nobody is writing."""
    for path in folder.glob(f"*{LEFTOVER}"):
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder would survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, if_held: OmnilyticsError | None = None) -> Iterator[None]:
    """Hold a lock file against other threads and processes; the system releases it when its holder ends, however that happens.

    Parameters
    ----------
    path : Path
        Made if missing, readable by its owner only.
    if_held : OmnilyticsError, optional
        Raised at once if somebody else holds the lock; left out, wait for it.
    """
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if if_held is None else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if if_held is None:
                raise
            raise if_held from None
        yield


def _temporary(path: Path, content: bytes | Callable[[BinaryIO], None]) -> str:
    """A synced file of that content in the folder of `path`, readable by its owner only."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=LEFTOVER)
    try:
        with open(descriptor, "wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(temporary)  # half a file must not hold a full disk full
        raise
    return temporary
