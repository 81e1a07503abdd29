"""Blob transactions for tests, many of them: proofs of the cells of small blobs are multiples of those of one blob."""

from __future__ import annotations

from functools import cache

from py_arkworks_bls12381 import G1Point, Scalar

from omnilytics_flwr.evm.blobs import BLOB_TYPE, Sidecar, sidecar_of, versioned_hash
from omnilytics_flwr.evm.wallet import Secret, Wallet
from tests.support.builders import make_account
from tests.support.sparse import blob_of, value_of


@cache
def small_sidecar(value: int) -> Sidecar:
    """What travels beside ``blob_of(value)``: commitments and proofs are linear in a polynomial."""
    if value == 1:
        return sidecar_of((blob_of(1),))
    unit = small_sidecar(1)
    proofs = tuple(_multiply(proof, value) for proof in unit.cell_proofs)
    return Sidecar((blob_of(value),), (_multiply(unit.commitments[0], value),), proofs)


def make_sidecar(blobs: tuple[bytes, ...]) -> Sidecar:
    """What travels beside a transaction with these blobs."""
    values = [value_of(blob) for blob in blobs]
    parts = [sidecar_of((blob,)) if value is None else small_sidecar(value) for blob, value in zip(blobs, values, strict=True)]
    return Sidecar(
        blobs,
        tuple(commitment for part in parts for commitment in part.commitments),
        tuple(proof for part in parts for proof in part.cell_proofs),
    )


def signed_with_blobs(number: int, transaction: dict[str, object], blobs: tuple[bytes, ...]) -> bytes:
    """A transaction of a test account with blobs, as a node takes it."""
    sidecar = make_sidecar(blobs)
    hashes = [versioned_hash(commitment) for commitment in sidecar.commitments]
    wallet = Wallet(Secret(bytes(make_account(number).key)))
    signed, _ = wallet.sign_transaction(transaction | {"type": BLOB_TYPE, "blobVersionedHashes": hashes})
    return sidecar.wrapped(signed)


def _multiply(compressed: bytes, value: int) -> bytes:
    return bytes((G1Point.from_compressed_bytes_unchecked(compressed) * Scalar(value)).to_compressed_bytes())
