"""Rosters, and the bitmaps of seats, groups and roster positions that they are made of: bit i stands for number i."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..crypto.hashing import keccak256, word


def bits_of(bitmap: int) -> tuple[int, ...]:
    """Numbers whose bit is set, ascending."""
    return tuple(i for i in range(bitmap.bit_length()) if bitmap >> i & 1)


def bitmap_of(numbers: Iterable[int]) -> int:
    """Bitmap in which exactly `numbers` are set."""
    bitmap = 0
    for number in numbers:
        bitmap |= 1 << number
    return bitmap


def positions_of(groups: int, roster: int) -> int:
    """Bitmap over roster positions (0 is the roster's first group) of those `groups` that are on the `roster`."""
    return bitmap_of(position for position, group in enumerate(bits_of(roster)) if groups >> group & 1)


def groups_at(positions: int, roster: int) -> int:
    """Bitmap of the groups at these `positions` of the `roster`; the inverse of `positions_of`."""
    return bitmap_of(group for position, group in enumerate(bits_of(roster)) if positions >> position & 1)


def roster_seats(groups: Sequence[int]) -> tuple[int, ...]:
    """Seats in the order of a roster: groups in order, seats ascending in each.

    Parameters
    ----------
    groups : sequence of int
        Seat bitmap of each group of the roster.
    """
    return tuple(seat for seats in groups for seat in bits_of(seats))


def member_place(groups: Sequence[int], seat: int) -> int | None:
    """Place of a seat in the order of a roster, or None if it is not on it."""
    seats = roster_seats(groups)
    return seats.index(seat) if seat in seats else None


def roster_hash(groups: int, digests: Iterable[bytes]) -> bytes:
    """What a round is opened with: Keccak-256 of the groups' bitmap as a word and all members' digests, 32 bytes.

    Parameters
    ----------
    groups : int
        Bitmap of the groups on the roster.
    digests : iterable of bytes, length 32 each
        Of every member, groups ascending, seats ascending.
    """
    return keccak256(word(groups) + b"".join(digests))
