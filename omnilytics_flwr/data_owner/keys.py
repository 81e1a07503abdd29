"""A data owner's own secrets on disk: mask keys of epochs and the secret behind stochastic rounding."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from ..crypto.hashing import keccak256, word
from ..crypto.masks import MaskKey
from ..errors import Malformed
from ..market.task import TaskId


class OwnerKeys:
    """Secrets in a folder that only its owner can read.

    Parameters
    ----------
    folder : Path
        Made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def mask_key(self, market_id: str, epoch: int) -> MaskKey:
        """X25519 key of an epoch; made and synced to disk when first asked for."""
        return MaskKey.from_private(self._secret(f"mask-{market_id}-{epoch:010d}.key"))

    def rounding_key(self, task: TaskId) -> bytes:
        """Key of the stochastic rounding of one task, 32 bytes; the same again for the same task."""
        identity = word(task.chain_id) + bytes.fromhex(task.market[2:]) + word(task.epoch) + word(task.round) + task.task_hash
        return keccak256(b"OmniLytics/v1/rounding" + self._secret("rounding.key") + identity)

    def forget(self, market_id: str, *, before_epoch: int) -> None:
        """Delete the mask keys of epochs that are over: nobody can unmask their vectors any more."""
        for path in self._folder.glob(f"mask-{market_id}-*.key"):
            if int(path.stem.rsplit("-", 1)[1]) < before_epoch:
                path.unlink(missing_ok=True)

    def _secret(self, name: str) -> bytes:
        """The secret in a file; made if missing, complete before it is visible, and the same for all processes."""
        path = self._folder / name
        if not path.exists():
            descriptor, temporary = tempfile.mkstemp(dir=self._folder)
            with open(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            os.unlink(temporary)
        secret = path.read_bytes()
        if len(secret) != 32:
            raise Malformed(
                f"the secret in {path} has {len(secret)} bytes, expected 32; the file is damaged: join the next epoch from a new owner home"
            )
        return secret
