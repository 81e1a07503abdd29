"""The draw: seed, order, sizes, groups, and why groups last for an epoch."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from Crypto.Hash import keccak
from eth_abi.packed import encode_packed
from hypothesis import given
from hypothesis import strategies as st
from numpy.linalg import matrix_rank

from omnilytics_flwr.market.draw import draw_order, epoch_seed, group_sizes, rank
from tests.support.builders import MARKET, address_of

SEED = bytes(range(32))
OWNERS = {seat: address_of(seat) for seat in range(17)}


def plain_keccak(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def test_epoch_seed_is_the_packed_hash_of_prevrandao_epoch_and_market() -> None:
    packed = encode_packed(["bytes32", "uint256", "address"], [SEED, 7, MARKET])
    assert epoch_seed(SEED, 7, MARKET) == plain_keccak(packed)


def test_rank_is_the_packed_hash_of_seed_and_address() -> None:
    assert rank(SEED, OWNERS[3]) == plain_keccak(encode_packed(["bytes32", "address"], [SEED, OWNERS[3]]))


@given(seed=st.binary(min_size=32, max_size=32), size=st.integers(0, 60))
def test_draw_order_is_a_permutation_strictly_rising_in_rank(seed: bytes, size: int) -> None:
    owners = {seat: address_of(seat) for seat in range(size)}
    order = draw_order(seed, owners)
    ranks = [rank(seed, owners[seat]) for seat in order]
    assert sorted(order) == list(range(size))
    assert all(low < high for low, high in pairwise(ranks))


@given(seed=st.binary(min_size=32, max_size=32), shuffle=st.randoms())
def test_draw_order_follows_the_owners_whatever_their_seats(seed: bytes, shuffle: Random) -> None:
    addresses = list(OWNERS.values())
    shuffle.shuffle(addresses)
    moved = dict(enumerate(addresses))
    assert [moved[seat] for seat in draw_order(seed, moved)] == [OWNERS[seat] for seat in draw_order(seed, OWNERS)]


def test_draw_order_gives_every_owner_every_place_about_as_often() -> None:
    counts = [0] * 5
    owners = {seat: address_of(seat) for seat in range(5)}
    for number in range(2000):
        counts[draw_order(plain_keccak(number.to_bytes(4, "big")), owners).index(0)] += 1
    # 400 each are expected; five standard deviations of a binomial count are 90.
    assert all(abs(count - 400) < 90 for count in counts)


@pytest.mark.parametrize(
    ("owners", "group_size", "sizes"),
    [
        (15, 3, (3, 3, 3, 3, 3)),
        (16, 3, (4, 3, 3, 3, 3)),
        (17, 3, (4, 4, 3, 3, 3)),
        (20, 4, (4, 4, 4, 4, 4)),
        (29, 5, (6, 6, 6, 6, 5)),
        (30, 5, (5, 5, 5, 5, 5, 5)),
    ],
)
def test_group_sizes_first_groups_take_one_more(owners: int, group_size: int, sizes: tuple[int, ...]) -> None:
    assert group_sizes(owners, group_size) == sizes


def cut(order: tuple[int, ...], group_size: int) -> list[set[int]]:
    """Groups that a drawn order is cut into."""
    places = iter(order)
    return [{next(places) for _ in range(size)} for size in group_sizes(len(order), group_size)]


def test_group_sums_of_an_epoch_determine_no_single_update() -> None:
    groups = cut(draw_order(SEED, OWNERS), 3)
    random = Random(1)
    rounds = [random.sample(groups, random.randint(3, len(groups))) for _ in range(30)]
    rows = [[int(seat in seats) for seat in OWNERS] for roster in rounds for seats in roster]
    # However many rounds: one equation for each group, and no unit vector among their combinations.
    assert matrix_rank(rows) == len(groups) == 5
    assert all(matrix_rank([*rows, [int(seat == one) for seat in OWNERS]]) == 6 for one in OWNERS)


def test_group_sums_redrawn_every_round_would_determine_every_update() -> None:
    rows: list[list[int]] = []
    for number in range(6):
        groups = cut(draw_order(plain_keccak(bytes([number])), OWNERS), 3)
        rows += [[int(seat in seats) for seat in OWNERS] for seats in groups]
    assert matrix_rank(rows) == len(OWNERS)
