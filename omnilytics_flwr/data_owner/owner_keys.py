"""A data owner's own secrets on disk: mask keys of epochs and the secret behind stochastic rounding."""

from __future__ import annotations

import secrets
from pathlib import Path

from ..crypto.hashing import VERSION, keccak256, word
from ..crypto.masks import MaskKey
from ..errors import Malformed
from ..files import create_file, delete_file, make_folder, remove_leftovers
from ..market.task import TaskId

SECRET_BYTES = 32


class OwnerKeys:
    """Secrets in a folder that only its owner can read, and that is made if missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def mask_key(self, market_id: str, epoch: int) -> MaskKey:
        """X25519 key of an epoch; made and synced to disk when first asked for."""
        return MaskKey.from_private(self._secret(self._mask_path(market_id, epoch)))

    def find_mask_key(self, market_id: str, epoch: int) -> MaskKey | None:
        """X25519 key of an epoch, or None if this home never made it or has forgotten it."""
        path = self._mask_path(market_id, epoch)
        return MaskKey.from_private(self._secret(path)) if path.exists() else None

    def rounding_key(self, task: TaskId) -> bytes:
        """Key of the stochastic rounding of one task, 32 bytes; the same again for the same task."""
        identity = word(task.chain_id) + bytes.fromhex(task.market[2:]) + word(task.epoch) + word(task.round) + task.task_hash
        return keccak256((VERSION + "rounding").encode() + self._secret(self._folder / "rounding.key") + identity)

    def forget(self, market_id: str, *, before_epoch: int) -> None:
        """Delete the mask keys of epochs that are over: nobody can unmask their vectors any more.

        What a crash left half written goes as well, for it may be a second name of a key. The caller holds the journal's lock.
        """
        remove_leftovers(self._folder)
        for path in self._folder.glob(f"mask-{market_id}-*.key"):
            if int(path.stem.rsplit("-", 1)[1]) < before_epoch:
                delete_file(path)

    def _mask_path(self, market_id: str, epoch: int) -> Path:
        return self._folder / f"mask-{market_id}-{epoch:010d}.key"

    def _secret(self, path: Path) -> bytes:
        """The secret in a file. It is made if missing, complete before it is visible, and the same for all processes."""
        if not path.exists():
            create_file(path, secrets.token_bytes(SECRET_BYTES))
        secret = path.read_bytes()
        if len(secret) != SECRET_BYTES:
            raise Malformed(
                f"the secret in {path.name} has {len(secret)} bytes, expected {SECRET_BYTES}; the file is damaged: "
                "join the next epoch from a new owner home"
            )
        return secret
