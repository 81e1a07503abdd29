"""Bitmaps of seats, groups and positions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.market.roster import bitmap_of, bits_of, groups_at, member_place, positions_of, roster_hash, roster_seats

bitmaps = st.integers(0, 2**256 - 1)


@given(numbers=st.sets(st.integers(0, 255)))
def test_bits_of_gives_back_what_bitmap_of_set(numbers: set[int]) -> None:
    assert list(bits_of(bitmap_of(numbers))) == sorted(numbers)


def test_positions_of_counts_along_the_roster() -> None:
    # Groups 1, 4, 5 and 9 are on the roster, at positions 0 .. 3.
    assert positions_of(1 << 4 | 1 << 9, 0b1000110010) == 0b1010
    assert positions_of(1 << 2, 0b1000110010) == 0


@given(roster=bitmaps, groups=bitmaps)
def test_groups_at_undoes_positions_of(roster: int, groups: int) -> None:
    assert groups_at(positions_of(groups, roster), roster) == groups & roster


def test_roster_seats_go_group_by_group_and_seat_by_seat() -> None:
    assert roster_seats([0b100100, 0b000011]) == (2, 5, 0, 1)


def test_member_place_is_that_in_the_roster_or_none() -> None:
    assert member_place([0b100100, 0b000011], 5) == 1
    assert member_place([0b100100, 0b000011], 3) is None


def test_roster_hash_is_of_the_groups_and_all_digests() -> None:
    digests = [bytes([number]) * 32 for number in range(3)]
    assert roster_hash(0b101, digests) == keccak256((5).to_bytes(32, "big") + b"".join(digests))
    assert len({roster_hash(*roster) for roster in ((0b101, digests), (0b110, digests), (0b101, digests[::-1]), (0b101, digests[:2]))}) == 4
