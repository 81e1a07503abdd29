"""The last block with a transaction of ours: no state before it is believed, for behind one address may be nodes that lack it."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from ..files import make_folder, write_file

KEPT_SECONDS = 300
"""For how long the next process believes a number: nodes lag by less, and one that made it up must not shut out honest nodes for good."""

_log = logging.getLogger(__name__)


class OwnBlock:
    """Its number, 0 if there is none; in an outbox's folder if there is one, so that the next process, if it begins soon, starts from it.

    Parameters
    ----------
    folder : Path or None
        Kept in memory alone if None.
    """

    def __init__(self, folder: Path | None, chain_id: int) -> None:
        self._path = None if folder is None else folder / f"{chain_id}-own-block"
        self.number = self._kept()

    def note(self, number: int) -> None:
        """Keep a number if it is later; a disk that fails costs the next process its start, and this one nothing."""
        if number <= self.number:
            return
        self.number = number
        if self._path is not None:
            try:
                make_folder(self._path.parent)
                write_file(self._path, str(max(number, self._kept())).encode())
            except OSError as error:
                _log.error("the block of the last transaction is not kept, and a restart may believe a node that lacks it: %s", error)

    def _kept(self) -> int:
        """What the file says; 0 if it is old, or says nothing that can be read."""
        try:
            if self._path is None or abs(time.time() - self._path.stat().st_mtime) > KEPT_SECONDS:
                return 0
            text = self._path.read_bytes()
        except OSError:
            return 0
        return int(text) if text.isdigit() and len(text) < 20 else 0
