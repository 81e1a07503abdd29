"""Challenges of the settlement proof (docs/specification/protocol.md section 7): fixed-width fields, a tag each, chained by digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .curve import padded
from .field import R
from .hashing import keccak256, tag, word
from .statement import Statement


@dataclass(frozen=True, slots=True)
class Challenge:
    """A field element drawn by hashing.

    Attributes
    ----------
    digest : bytes, length 32
        What the next challenge chains on.
    """

    digest: bytes

    @property
    def scalar(self) -> int:
        """The digest modulo R."""
        return int.from_bytes(self.digest, "big") % R


def challenge_rho(statement: Statement, *, points: Sequence[bytes], values: Sequence[int]) -> Challenge:
    """rho, which folds the pairs into one sum.

    Parameters
    ----------
    statement : Statement
        What is proven.
    points : sequence of bytes, length 96 each
        P of the groups taking part, polynomials of one group in a row.
    values : sequence of int, 0 .. R - 1
        V of every pair.
    """
    numbers = (statement.polynomials, statement.outside)
    hashes = (_words(statement.sizes), b"".join(map(padded, points)), _words(values))
    head = tag("rho") + statement.context + statement.roster_hash
    return Challenge(keccak256(head + _words(numbers) + b"".join(map(keccak256, hashes))))


def challenge_z(before: Challenge, *, quotient: bytes, remainder: bytes, tail: bytes) -> Challenge:
    """z, at which everything is opened; after C_q, C_f and C_e, 96 bytes each."""
    return Challenge(keccak256(tag("z") + before.digest + quotient + remainder + tail))


def challenge_gamma(before: Challenge, *, evaluations: Sequence[int]) -> Challenge:
    """gamma, which folds the openings into one; after all y."""
    return Challenge(keccak256(tag("gamma") + before.digest + _words(evaluations)))


def _words(numbers: Sequence[int]) -> bytes:
    return b"".join(map(word, numbers))
