"""The folder of an agent's socket and token that a group of users shares, while the home stays the agent's alone."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

from ..errors import Refused, TermsError
from ..files import make_folder, share

FOLDER_MODE = 0o750


def group_id(name: str | None) -> int | None:
    """Id of a group by its name or number; None without one; raises `TermsError` if there is none of that name."""
    if name is None or name.isdecimal():
        return None if name is None else int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise TermsError(f"there is no group {name!r} on this machine; expected run-group to name one; make it by groupadd") from error


def make_run_folder(folder: Path, group: int | None) -> None:
    """Make a run folder unless it is there, and let the group's members in.

    Raises
    ------
    Refused
        It is another user's, others may write to it, or this user may not give it to that group.
    """
    make_folder(folder)
    found = folder.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise Refused(
            f"the run folder {folder} has mode {stat.S_IMODE(found.st_mode):o} and is of user {found.st_uid}; expected one of the agent's "
            f"user {os.geteuid()}, to which nobody else writes; remove it, or chown and chmod it"
        )
    try:
        share(folder, group, FOLDER_MODE)
    except PermissionError as error:
        raise Refused(
            f"the agent's user {os.geteuid()} may not give {folder} to group {group}; expected it to be a member; add it by usermod -aG"
        ) from error
