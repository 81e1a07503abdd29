"""KZG opening proofs, as the point evaluation precompile (EIP-4844, 0x0a) checks them."""

from __future__ import annotations

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from .ceremony import tau_g2
from .commitment import commit_polynomial
from .domain import quotient
from .field import FieldVector


def prove_opening(polynomial: FieldVector, point: int, value: int) -> bytes:
    """Proof that a polynomial, given by its values on H, has ``value`` at ``point``; 48 bytes.

    It is a proof only if the value is right, see `omnilytics_flwr.crypto.domain.evaluation_weights`.
    """
    return commit_polynomial(quotient(polynomial.to_ints(), point, value)).to_compressed_bytes()


def opens(commitment: bytes, point: int, value: int, proof: bytes) -> bool:
    """Whether the committed polynomial has this value at this point.

    Parameters
    ----------
    commitment : bytes
        Compressed; anything but 48 bytes of a point of the subgroup opens to nothing.
    point, value : int, 0 .. R - 1
    proof : bytes
        Compressed, the same holds.
    """
    try:
        committed, witness = G1Point.from_compressed_bytes(commitment), G1Point.from_compressed_bytes(proof)
    except ValueError:
        return False
    left = committed - G1Point() * Scalar(value) + witness * Scalar(point)
    return GT.pairing_check([left, -witness], [G2Point(), tau_g2()])
