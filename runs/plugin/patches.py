"""Patches of a few lines, applied to a user's copy of an app, looked at first, and taken back.

A patch is a unified diff whose paths are relative to the app's folder. Its line numbers are a hint only: a hunk goes where its old
lines stand, which must be in one place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..recipes import RunError

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class PatchError(RunError):
    """A patch that does not fit: what was expected where, and what to do."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of one place.

    Attributes
    ----------
    line : int
        Number of the first old line in the file that the patch was made from, from 1.
    old, new : tuple of str
        Lines that must be there, and those that take their place; both with the lines around, if there are any.
    """

    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def changes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Old and new lines without the common ones before and after."""
        before = _common(self.old, self.new)
        after = _common(self.old[before:][::-1], self.new[before:][::-1])
        return self.old[before : len(self.old) - after], self.new[before : len(self.new) - after]

    @property
    def touched(self) -> int:
        """Lines that are changed, added or removed; a changed line counts once."""
        return max(map(len, self.changes))


@dataclass(frozen=True, slots=True)
class FilePatch:
    """Hunks of one file, by its path in the app's folder."""

    path: str
    hunks: tuple[Hunk, ...]

    @property
    def touched(self) -> int:
        """Touched lines of the file."""
        return sum(hunk.touched for hunk in self.hunks)

    def reversed(self) -> FilePatch:
        """The patch that undoes this one."""
        return replace(self, hunks=tuple(Hunk(hunk.line, hunk.new, hunk.old) for hunk in self.hunks))


@dataclass(frozen=True, slots=True)
class Edit:
    """One file as it would be: number and text of each touched place, and the new content."""

    path: Path
    places: tuple[tuple[int, Hunk], ...]
    content: str


def read_patch(text: str) -> tuple[FilePatch, ...]:
    """Patches of the files in a unified diff.

    Raises
    ------
    PatchError
        It is no unified diff of existing files.
    """
    files: list[FilePatch] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if lines[at].startswith("--- a/") and at + 1 < len(lines) and lines[at + 1].startswith("+++ b/"):
            files.append(FilePatch(lines[at + 1].removeprefix("+++ b/"), ()))
            at += 2
        elif (head := _HUNK.match(lines[at])) and files:
            at, hunk = _read_hunk(lines, at, head)
            files[-1] = replace(files[-1], hunks=(*files[-1].hunks, hunk))
        else:
            raise PatchError(f"line {at + 1} of the patch is {lines[at]!r}; expected the head of a file or of a hunk; take the patch anew")
    return tuple(files)


def plan(folder: Path, patch: Sequence[FilePatch], *, undo: bool = False) -> tuple[Edit, ...]:
    """What applying, or undoing, a patch would do; nothing is changed.

    Raises
    ------
    PatchError
        A file is missing, or a hunk's old lines are not in exactly one place.
    """
    steps = [one.reversed() for one in patch] if undo else list(patch)
    texts = {one.path: _read(folder / one.path) for one in steps}
    done = [_is_done(texts[one.path].splitlines(), hunk) for one in steps for hunk in one.hunks]
    if all(done):
        raise PatchError(f"the patch is {'not applied' if undo else 'applied already'} in {folder}; nothing is to be done")
    if any(done):
        raise PatchError(
            f"the patch is applied in part in {folder}: {sum(done)} of {len(done)} places are done; expected none; "
            "finish it by hand, or start from a fresh copy"
        )
    return tuple(_plan_file(folder / one.path, texts[one.path], one) for one in steps)


def carry_out(edits: Sequence[Edit]) -> None:
    """Write the planned content."""
    for edit in edits:
        edit.path.write_bytes(edit.content.encode())


def _read_hunk(lines: list[str], at: int, head: re.Match[str]) -> tuple[int, Hunk]:
    counts = [int(head[2] or 1), int(head[4] or 1)]
    old: list[str] = []
    new: list[str] = []
    start = at
    at += 1
    while (len(old), len(new)) != tuple(counts):
        line = lines[at] if at < len(lines) else "end"
        if line[:1] not in (" ", "-", "+"):
            raise PatchError(
                f"line {at + 1} of the patch is {line!r}; expected the rest of the hunk of line {start + 1}; take the patch anew"
            )
        if line[0] != "+":
            old.append(line[1:])
        if line[0] != "-":
            new.append(line[1:])
        at += 1
    return at, Hunk(int(head[1]), tuple(old), tuple(new))


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise PatchError(
            f"{path} cannot be read ({error.strerror}); expected the app's file; name the folder of its pyproject.toml"
        ) from error
    except UnicodeDecodeError as error:
        raise PatchError(f"{path} is no text in UTF-8; expected the app's file; take it anew") from error


def _is_done(lines: list[str], hunk: Hunk) -> bool:
    """Whether the new lines stand there already: an insertion's old lines do so before and after."""
    return bool(_places(lines, hunk.new)) and (len(hunk.new) > len(hunk.old) or not _places(lines, hunk.old))


def _places(lines: list[str], block: Sequence[str]) -> list[int]:
    """Indices at which a block of lines begins."""
    return [at for at in range(len(lines) - len(block) + 1) if lines[at : at + len(block)] == list(block)]


def _plan_file(path: Path, text: str, patch: FilePatch) -> Edit:
    ending = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(ending)
    places: list[tuple[int, Hunk]] = []
    for hunk in patch.hunks:
        at = _find(path, lines, hunk)
        lines[at : at + len(hunk.old)] = hunk.new
        places.append((at + 1 + _common(hunk.old, hunk.new), hunk))
    return Edit(path, tuple(places), ending.join(lines))


def _find(path: Path, lines: list[str], hunk: Hunk) -> int:
    """Index of the first line of the one place where the old lines stand."""
    found = _places(lines, hunk.old)
    if len(found) != 1:
        wanted = "\n".join(f"    {line}" for line in hunk.old)
        where = f"lines {', '.join(str(at + 1) for at in found)}" if found else "nowhere"
        raise PatchError(
            f"{path} has the following {where}, expected once, near line {hunk.line}; the app is not the one that the patch is for, "
            f"so make the change by hand:\n{wanted}\n  becomes\n" + "\n".join(f"    {line}" for line in hunk.new)
        )
    return found[0]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the common beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
