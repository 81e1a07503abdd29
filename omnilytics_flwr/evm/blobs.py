"""Blobs (EIP-4844), and the proofs that a node needs before it takes a transaction (EIP-7594).

A blob transaction is signed without its blobs: it names them by hash only. The blobs travel beside it, with their commitments and a proof
for each of their cells. eth-account's own signing loads the trusted setup three times, 1.5 s each, for one transaction; this module
loads it once in a process, when the first blob needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import rlp

from ..crypto.ceremony import ckzg_setup
from ..crypto.curve import COMPRESSED_BYTES
from ..crypto.kzg import BLOB_BYTES, versioned_hash
from ..errors import Malformed, WrongLength

BLOB_TYPE = 3
MOST_BLOBS = 6
"""Of a transaction (EIP-7594)."""
WRAPPER_VERSION = b"\x01"
CELLS = 128
"""Cells of an extended blob, each with a proof."""

_INFINITY = b"\xc0" + bytes(COMPRESSED_BYTES - 1)


@dataclass(frozen=True, slots=True, repr=False)
class Sidecar:
    """What travels beside a blob transaction.

    Attributes
    ----------
    blobs : tuple of bytes, length 131,072 each
    commitments : tuple of bytes, length 48 each
    cell_proofs : tuple of bytes, length 48 each
        Of the 128 cells of the first blob, then of the next.
    """

    blobs: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    cell_proofs: tuple[bytes, ...]

    def wrapped(self, signed: bytes) -> bytes:
        """A signed transaction of type 3 together with this, as nodes take it; its hash stays that of `signed`."""
        body = rlp.decode(signed[1:])
        return bytes([BLOB_TYPE]) + bytes(rlp.encode([body, WRAPPER_VERSION, self.blobs, self.commitments, self.cell_proofs]))


def zero_sidecar(blobs: int) -> Sidecar:
    """Of so many blobs of zeros, which nobody need compute."""
    return Sidecar((bytes(BLOB_BYTES),) * blobs, (_INFINITY,) * blobs, (_INFINITY,) * CELLS * blobs)


ZERO_SIDECAR = zero_sidecar(1)
"""Of one blob of zeros."""


@lru_cache(maxsize=2)
def commitments_of(blobs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Compressed commitments of blobs; 40 ms each.

    Raises
    ------
    WrongLength
        There are none, or more than six, or one has not 131,072 bytes.
    Malformed
        A blob has an element that is not below the field's order.
    """
    if not 1 <= len(blobs) <= MOST_BLOBS:
        raise WrongLength("a transaction's list of blobs", len(blobs), MOST_BLOBS)
    return tuple(_commitment(index, blob) for index, blob in enumerate(blobs))


def versioned_hashes(blobs: tuple[bytes, ...]) -> list[bytes]:
    """Hashes under which a transaction names its blobs; raises as `commitments_of` does."""
    return [versioned_hash(commitment) for commitment in commitments_of(blobs)]


@lru_cache(maxsize=2)
def sidecar_of(blobs: tuple[bytes, ...]) -> Sidecar:
    """Everything that travels beside a transaction with these blobs; a quarter of a second for each, raises as `commitments_of` does."""
    import ckzg

    commitments = commitments_of(blobs)
    proofs = (proof for blob in blobs for proof in ckzg.compute_cells_and_kzg_proofs(blob, ckzg_setup())[1])
    return Sidecar(blobs, commitments, tuple(map(bytes, proofs)))


def blobs_by_hash(blobs: list[bytes]) -> dict[bytes, bytes]:
    """Blobs that somebody served, under the hashes that they really have; what is no blob is left out."""
    found = {}
    for blob in blobs:
        try:
            found[versioned_hash(_commitment(0, blob))] = blob
        except (WrongLength, Malformed):
            continue
    return found


def _commitment(index: int, blob: bytes) -> bytes:
    import ckzg

    if len(blob) != BLOB_BYTES:
        raise WrongLength(f"blob {index}, in bytes,", len(blob), BLOB_BYTES)
    try:
        return bytes(ckzg.blob_to_kzg_commitment(blob, ckzg_setup()))
    except (RuntimeError, ValueError) as error:
        raise Malformed(
            f"blob {index} is no polynomial ({error}); expected 4096 elements below the field's order; send a vector as it travels"
        ) from error
