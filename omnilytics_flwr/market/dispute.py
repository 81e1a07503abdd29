"""Disputes: who may accuse and answer, until when, at what cost, and with what effect (docs/specification/protocol.md section 8).

A model owner accuses members whose vectors it did not get. An accused answers with its vector as blobs, for all to see that it
delivered, or its accusation lapses: then its stake pays the rest of its group, which takes no part.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..crypto.curve import compress
from ..crypto.kzg import BLOB_BYTES, versioned_hash
from .terms import Address, Terms
from .terms_bounds import ETHEREUM

BURN_ADDRESS = Address("0x000000000000000000000000000000000000dEaD")
"""Whom the rest of lost stakes is credited to."""

BLOBS_PER_TRANSACTION = ETHEREUM.blobs
ANSWER_GAS = 100_000
"""Stated gas of an answering transaction, but for its polynomials."""
POLYNOMIAL_GAS = 16_000
"""Stated gas of each polynomial in an answer."""
REFUNDED_GAS = 12_000
"""Gas of each polynomial that is refunded: less than it takes in any transaction, lest somebody earn by answering in pieces."""


def accuse_by(settle_by: int, terms: Terms) -> int:
    """Last second in which members of a round that must settle by `settle_by` may be accused: they can answer, and be waited for."""
    return settle_by - terms.answer_seconds - terms.prove_seconds


def lapsed(*, accused: int, answered: int, answer_by: int, now: int) -> int:
    """Seats whose accusation has lapsed.

    Parameters
    ----------
    accused, answered : int
        Bitmaps of seats.
    answer_by, now : int
        Unix seconds.
    """
    return accused & ~answered if now > answer_by else 0


def void_groups(roster: Sequence[int], lapsed_seats: int) -> int:
    """Roster positions, as a bitmap, of the groups with a lapsed member.

    Parameters
    ----------
    roster : sequence of int
        Bitmap of the seats of each group of the roster, in order.
    lapsed_seats : int
        Bitmap of seats.
    """
    return sum(1 << position for position, seats in enumerate(roster) if seats & lapsed_seats)


def blob_transactions(polynomials: int, blobs: int) -> int:
    """Fewest transactions that an answer takes, with so many blobs in each: ceil(B / blobs)."""
    return -(-polynomials // blobs)


def answer_cost_wei(polynomials: int, *, blobs: int, base_fee_wei: int, blob_base_fee_wei: int) -> int:
    """What an answer costs by its stated gas, at a block's base fees; the least deposit is twice that for all polynomials.

    Parameters
    ----------
    polynomials : int
        Those answered.
    blobs : int
        That a transaction may carry.
    base_fee_wei, blob_base_fee_wei : int
        Of a unit of gas, and of blob gas.
    """
    gas = ANSWER_GAS * blob_transactions(polynomials, blobs) + POLYNOMIAL_GAS * polynomials
    return BLOB_BYTES * polynomials * blob_base_fee_wei + gas * base_fee_wei


def refund_wei(polynomials: int, *, base_fee_wei: int, blob_base_fee_wei: int) -> int:
    """Most that an answer of some polynomials is refunded, at a block's base fees: its blobs, and a part of its gas."""
    return polynomials * (BLOB_BYTES * blob_base_fee_wei + REFUNDED_GAS * base_fee_wei)


def usual_deposit_wei(cost_wei: int) -> int:
    """Deposit for an accused that is unlikely to be refused for rising fees: a quarter more than what an answer costs now."""
    return -(-5 * cost_wei // 4)


def blob_hash_of(point: bytes) -> bytes:
    """Versioned hash of the blob whose commitment is `point`, 96 bytes."""
    return versioned_hash(compress(point))
