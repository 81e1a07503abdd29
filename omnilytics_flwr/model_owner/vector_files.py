"""Masked vectors on disk until their round is over, as they came; they are read in pieces, so that memory never holds many of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from ..crypto.field import ELEMENT_BYTES, FieldVector, N
from ..files import LEFTOVER, delete_file, write_file

PIECE_ELEMENTS = 32 * N
"""Of a piece: 4 MiB. Whole polynomials, for a projection and a commitment are of polynomials."""

SUFFIX = ".vector"


class VectorFiles:
    """Vectors by name.

    Parameters
    ----------
    folder : Path or None
        A run directory, whose files survive a power cut. Without one they lie in the system's temporary folder, have no names there, and go
        with this process however it ends.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._unnamed: dict[str, BinaryIO] = {}

    def write(self, name: str, raw: bytes) -> None:
        """Write a vector, in place of one of that name."""
        if self._folder is not None:
            write_file(_path(self._folder, name), raw)
            return
        self.delete(name)
        file = self._unnamed[name] = tempfile.TemporaryFile(suffix=LEFTOVER)
        file.write(raw)
        file.flush()

    def size(self, name: str) -> int:
        """Bytes of a vector, 0 if it is not there."""
        if self._folder is None:
            return os.fstat(self._unnamed[name].fileno()).st_size if name in self._unnamed else 0
        path = _path(self._folder, name)
        return path.stat().st_size if path.exists() else 0

    def pieces(self, name: str, elements: int) -> Iterator[FieldVector]:
        """A vector of so many elements, piece by piece; raises `WireError` if it is not one."""
        with nullcontext(self._unnamed[name]) if self._folder is None else _path(self._folder, name).open("rb") as file:
            yield from _pieces(lambda start, length: os.pread(file.fileno(), length, start), elements)

    def delete(self, *names: str) -> None:
        """Delete vectors; those that are not there are passed over."""
        for name in names:
            if self._folder is not None:
                delete_file(_path(self._folder, name))
            elif name in self._unnamed:
                self._unnamed.pop(name).close()

    def names(self, prefix: str) -> list[str]:
        """Names of vectors that begin so."""
        there = self._unnamed if self._folder is None else [path.stem for path in self._folder.glob(f"{prefix}*{SUFFIX}")]
        return [name for name in there if name.startswith(prefix)]


def pieces_of(raw: bytes, elements: int) -> Iterator[FieldVector]:
    """The same of bytes that are in memory."""
    return _pieces(lambda start, length: raw[start : start + length], elements)


def _pieces(read: Callable[[int, int], bytes], elements: int) -> Iterator[FieldVector]:
    for start in range(0, elements, PIECE_ELEMENTS):
        length = min(PIECE_ELEMENTS, elements - start)
        yield FieldVector.from_bytes(read(ELEMENT_BYTES * start, ELEMENT_BYTES * length), length)


def _path(folder: Path, name: str) -> Path:
    return folder / (name + SUFFIX)
