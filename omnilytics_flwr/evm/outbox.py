"""Transactions on their way, kept on disk if there is a folder for it: whoever is killed after sending finds them again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ChainError
from ..market.terms import Address
from .blobs import sidecar_of
from .fees import BLOB_FEE, GAS_FEE, TIP
from .transaction import Payload

_NUMBERS = ("chainId", "nonce", "gas", "value", GAS_FEE, TIP, BLOB_FEE)
_HASH_LENGTH = 66


@dataclass(slots=True)
class Pending:
    """A payload on its way under one nonce; a raised fee adds a hash, and at most one of them is ever mined.

    Attributes
    ----------
    payload : Payload
    transaction : dict of str to object
        As eth-account signs it; its blobs by hash.
    signed : bytes
        Signed form, without blobs.
    hashes : list of str
        Of all signed forms, the present one last.
    """

    payload: Payload
    transaction: dict[str, Any]
    signed: bytes = b""
    hashes: list[str] = field(default_factory=list)

    def raw(self) -> bytes:
        """What a node takes."""
        return sidecar_of(self.payload.blobs).wrapped(self.signed) if self.payload.blobs else self.signed


class Outbox:
    """The transactions of one account that may be on their way.

    Parameters
    ----------
    folder : Path or None
        Where they are written, one file each, readable by their owner only; nowhere if None.
    chain_id : int
    account : Address
    """

    def __init__(self, folder: Path | None, chain_id: int, account: Address) -> None:
        self._folder = folder
        self._prefix = f"{chain_id}-{account.lower()}-"
        self._held: dict[bytes, Pending] = {}

    def get(self, payload: Payload) -> Pending | None:
        """What was put for this payload, by this process or another.

        Raises
        ------
        ChainError
            Its file cannot be read.
        """
        held = self._held.get(payload.key)
        if held is not None or self._folder is None:
            return held
        path = self._path(self._folder, payload)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ChainError(f"{path} cannot be read ({error.strerror}); expected a sent transaction; check the folder") from error
        return _decoded(path, payload, text)

    def held(self) -> tuple[Pending, ...]:
        """What this process has put and not removed, oldest nonce first."""
        return tuple(sorted(self._held.values(), key=lambda pending: pending.transaction["nonce"]))

    def put(self, pending: Pending) -> None:
        """Keep a transaction; when this returns, it is on the disk.

        Raises
        ------
        ChainError
            It cannot be written; nothing must be sent then.
        """
        if self._folder is not None:
            with _writing(self._folder):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write_synced(self._path(self._folder, pending.payload), _encoded(pending))
        self._held[pending.payload.key] = pending

    def remove(self, payload: Payload) -> None:
        """Forget the transaction with this payload; raises `ChainError` if its file cannot be removed."""
        self._held.pop(payload.key, None)
        if self._folder is not None:
            with _writing(self._folder):
                self._path(self._folder, payload).unlink(missing_ok=True)

    def _path(self, folder: Path, payload: Payload) -> Path:
        return folder / f"{self._prefix}{payload.key.hex()}.json"


def _encoded(pending: Pending) -> bytes:
    numbers = {name: pending.transaction[name] for name in _NUMBERS if name in pending.transaction}
    return json.dumps({"transaction": numbers, "signed": pending.signed.hex(), "hashes": pending.hashes}).encode()


def _decoded(path: Path, payload: Payload, text: bytes) -> Pending:
    try:
        described = json.loads(text)
        numbers, hashes, signed = described["transaction"], described["hashes"], bytes.fromhex(described["signed"])
        _check(numbers, hashes, bool(payload.blobs))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ChainError(
            f"{path} is no transaction that this program wrote ({type(error).__name__}); expected one that may be on its way; "
            "see on the chain whether the account's last transactions are mined, then remove the file"
        ) from error
    return Pending(payload, payload.fields() | numbers, signed, hashes)


def _check(numbers: Mapping[str, object], hashes: object, blobs: bool) -> None:
    expected = set(_NUMBERS) - (set() if blobs else {BLOB_FEE})
    if set(numbers) != expected or not all(type(number) is int and number >= 0 for number in numbers.values()):
        raise ValueError("other numbers than those of a transaction")
    if not isinstance(hashes, list) or not hashes or not all(isinstance(h, str) and len(h) == _HASH_LENGTH for h in hashes):
        raise ValueError("no hashes")


def _write_synced(path: Path, text: bytes) -> None:
    """Replace a file so that after a crash there is the old or the new one."""
    fresh = path.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ChainError(
            f"the outbox {folder} cannot be written ({error.strerror}); expected a folder of one's own; check its path and rights"
        ) from error
