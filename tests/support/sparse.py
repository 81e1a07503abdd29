"""Small vectors for accused data owners: polynomials of which one element is not zero, so that a commitment takes one multiplication."""

from __future__ import annotations

from functools import cache

from py_arkworks_bls12381 import Scalar

from omnilytics_flwr.crypto.ceremony import lagrange_points
from omnilytics_flwr.crypto.curve import encode_point
from omnilytics_flwr.crypto.field import ELEMENT_BYTES, N
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import points_digest

ELEMENT = 17
"""Place of the element that is not zero."""


def make_value(seat: int, round_number: int, polynomial: int) -> int:
    """The one element of a polynomial, which only this seat has in this round."""
    return int.from_bytes(keccak256(b"value" + word(seat) + word(round_number) + word(polynomial))[:16], "big")


@cache
def make_points(seat: int, round_number: int, polynomials: int = 1) -> bytes:
    """Commitments of a seat's vector in a round."""
    values = [make_value(seat, round_number, k) for k in range(polynomials)]
    return b"".join(encode_point(lagrange_points()[ELEMENT] * Scalar(value)) for value in values)


def make_digest(seat: int, round_number: int, polynomials: int = 1) -> bytes:
    """A digest that only this seat has in this round; `make_blob` answers for it."""
    return points_digest(make_points(seat, round_number, polynomials))


@cache
def make_blob(seat: int, round_number: int, polynomial: int = 0) -> bytes:
    """A polynomial of a seat's vector as a blob."""
    return blob_of(make_value(seat, round_number, polynomial))


def make_blobs(seat: int, round_number: int, first: int, count: int) -> tuple[bytes, ...]:
    """Blobs of `count` polynomials from `first` on."""
    return tuple(make_blob(seat, round_number, polynomial) for polynomial in range(first, first + count))


def blob_of(value: int) -> bytes:
    """The blob whose one element has this value."""
    return bytes(ELEMENT * ELEMENT_BYTES) + word(value) + bytes((N - ELEMENT - 1) * ELEMENT_BYTES)


def value_of(blob: bytes) -> int | None:
    """The value of a blob's one element; None if it has others."""
    value = int.from_bytes(blob[ELEMENT * ELEMENT_BYTES : (ELEMENT + 1) * ELEMENT_BYTES], "big")
    return value if blob == blob_of(value) else None
