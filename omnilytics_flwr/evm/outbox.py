"""Transactions on their way. If there is a folder for them, they are kept on disk: a sender that is killed finds them again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ..crypto.address import Address
from ..decoding import Count, decode_json
from ..errors import ChainError, Malformed
from ..files import make_folder, write_file
from .blobs import sidecar_of
from .fees import BLOB_FEE, GAS_FEE, TIP
from .transaction import Payload, payload_of

_log = logging.getLogger(__name__)

_NUMBERS = ("chainId", "nonce", "gas", "value", GAS_FEE, TIP, BLOB_FEE)


@dataclass(slots=True)
class Pending:
    """A payload on its way under one nonce; a raised fee adds a hash, and at most one of them is ever mined.

    Attributes
    ----------
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
    """

    def __init__(self, folder: Path | None, chain_id: int, account: Address) -> None:
        self._folder = folder
        self._account = account
        self._prefix = f"{chain_id}-{account.lower()}-"
        self._held: dict[bytes, Pending] = {}

    def get(self, payload: Payload) -> Pending | None:
        """What was put for this payload, by this process or another; raises `ChainError` if its file cannot be read."""
        # Memory first: a file that somebody removed meanwhile must not make this process send a second time.
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
        """What was put and not removed, oldest nonce first; of what another process has put only what carries no blobs.

        A file does not say what a transaction does, but its signed form does. What this account has signed once, it may sign again.
        """
        found = {pending.payload.key: pending for pending in self._left_behind()} | self._held
        return tuple(sorted(found.values(), key=lambda pending: pending.transaction["nonce"]))

    def _left_behind(self) -> Iterator[Pending]:
        paths = () if self._folder is None else self._folder.glob(f"{self._prefix}*.json")
        for path in paths:
            with suppress(OSError, ChainError, Malformed):  # whoever sends the same payload is told what is wrong with its file
                text = path.read_bytes()
                payload = payload_of(bytes.fromhex(decode_json(text, _Sent).signed), self._account)
                for candidate in (payload, replace(payload, any_value=True)):
                    if self._path(path.parent, candidate) == path:
                        yield _decoded(path, candidate, text)

    def put(self, pending: Pending) -> None:
        """Keep a transaction: when this returns, it is on the disk, or its payload needs no file and the log says why there is none.

        If it raises `ChainError`, nothing must be sent.
        """
        try:
            if self._folder is not None:
                with _writing(self._folder):
                    make_folder(self._folder)
                    write_file(self._path(self._folder, pending.payload), _encoded(pending))
        except ChainError as error:
            if pending.payload.needs_record:
                raise
            _log.error("a transaction is sent without its file, and would be sent again after a restart: %s", error)
        # In memory after the disk: what could not be written is not sent, so it must not look as if it were on its way.
        self._held[pending.payload.key] = pending

    def remove(self, payload: Payload) -> None:
        """Forget the transaction with this payload; raises `ChainError` if its file cannot be removed."""
        self._held.pop(payload.key, None)
        if self._folder is not None:
            with _writing(self._folder):
                self._path(self._folder, payload).unlink(missing_ok=True)

    def _path(self, folder: Path, payload: Payload) -> Path:
        # By payload, not by nonce: the next process knows what it wants to send, and nothing of nonces.
        return folder / f"{self._prefix}{payload.key.hex()}.json"


class _Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the outbox."""

    transaction: dict[str, Count]
    signed: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*$")]
    hashes: Annotated[list[Annotated[str, msgspec.Meta(min_length=66, max_length=66)]], msgspec.Meta(min_length=1)]


def _encoded(pending: Pending) -> bytes:
    numbers = {name: pending.transaction[name] for name in _NUMBERS if name in pending.transaction}
    return msgspec.json.encode(_Sent(numbers, pending.signed.hex(), pending.hashes))


def _decoded(path: Path, payload: Payload, text: bytes) -> Pending:
    try:
        sent = decode_json(text, _Sent)
        # Recipient, data and blobs are not in the file but in the payload that names it, so no file can make anybody sign something else.
        if set(sent.transaction) != set(_NUMBERS) - (set() if payload.blobs else {BLOB_FEE}):
            raise Malformed("other numbers than those of a transaction")
    except Malformed as error:
        # Guessing would be worse than stopping: if it is on its way and is sent anew, it is paid twice.
        raise ChainError(
            f"{path} is no transaction that this program wrote ({error}); it may be on its way: "
            "see on the chain whether the account's last transactions are mined, then remove the file"
        ) from error
    return Pending(payload, payload.fields() | sent.transaction, bytes.fromhex(sent.signed), sent.hashes)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ChainError(
            f"the outbox {folder} cannot be written ({error.strerror}); expected a folder of one's own; check its path and rights"
        ) from error
