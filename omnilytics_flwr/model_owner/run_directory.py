"""The run directory: keeps on disk what a model owner must not lose when it is killed.

One file a record, ``NAME.npz``: arrays in numpy's own format, without pickle, and all other facts as JSON. A record is written to a
temporary file, synced and renamed, and the folder is synced: so either the old record is there or the new one, whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Malformed, Refused, TermsError
from ..files import locked, make_folder, remove_leftovers, sync_folder, write_file

SUFFIX = ".npz"
_FACTS = "facts"
_MARKET = "market"


@dataclass(frozen=True, slots=True)
class Record:
    """What one file holds.

    Attributes
    ----------
    facts : mapping of str to JSON value
    arrays : mapping of str to array
        Of any dtype but objects.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class RunDirectory:
    """The folder of one run in one market; it holds the private part of the model, so nobody else may read it.

    Parameters
    ----------
    path : Path
        Made if missing, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory against other processes.

        Raises
        ------
        Refused
            Another run holds it.
        """
        held = Refused(f"another process runs from {self.path}; expected a run directory of one's own; wait for it or end it")
        with locked(self.path / ".lock", if_held=held):
            remove_leftovers(self.path)
            yield

    def claim(self, *, chain_id: int, market: str) -> None:
        """Bind the directory to a market, once and for all.

        Raises
        ------
        TermsError
            It belongs to another one.
        """
        wanted = {"chain_id": chain_id, "market": market}
        found = self.read(_MARKET)
        if found is None:
            self.write(_MARKET, Record(wanted))
        elif found.facts != wanted:
            raise TermsError(
                f"{self.path} is the run directory of market {found.facts.get('market')} on chain {found.facts.get('chain_id')}, "
                f"this is {market} on chain {chain_id}; name another directory for it"
            )

    def write(self, name: str, record: Record) -> None:
        """Write and sync; returns only when the record would survive a power cut."""
        facts = np.frombuffer(json.dumps(record.facts).encode(), dtype=np.uint8)
        write_file(self._file(name), lambda file: np.savez(file, allow_pickle=False, **{_FACTS: facts, **record.arrays}))

    def read(self, name: str) -> Record | None:
        """The record of this name, or None.

        Raises
        ------
        Malformed
            It is damaged.
        """
        path = self._file(name)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as loaded:
                arrays = {key: loaded[key] for key in loaded.files}
            facts = dict(json.loads(arrays.pop(_FACTS).tobytes()))
        except Exception as error:  # whatever numpy and zipfile raise for bytes that are no archive
            raise Malformed(
                f"{path} is damaged ({error}); expected it as it was written; put it back from a copy, or wait until the market's round "
                "has timed out and start from an empty run directory"
            ) from error
        return Record(facts, arrays)

    def names(self, prefix: str) -> list[str]:
        """Names of records that begin so, sorted."""
        return sorted(path.stem for path in self.path.glob(f"{prefix}*{SUFFIX}"))

    def records(self, prefix: str) -> Iterator[Record]:
        """Records whose names begin so, in the order of the names; raises `Malformed` like `read`."""
        for name in self.names(prefix):
            record = self.read(name)
            if record is not None:
                yield record

    def delete(self, *names: str) -> None:
        """Delete records; those that are not there are passed over."""
        for name in names:
            self._file(name).unlink(missing_ok=True)
        if names:
            sync_folder(self.path)

    def _file(self, name: str) -> Path:
        return self.path / (name + SUFFIX)
