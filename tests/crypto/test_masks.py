from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import pack, unpack
from omnilytics_flwr.crypto.masks import GroupMask, MaskKey, Pad, Peer, check_mask_key, group_hash, uniform_elements
from omnilytics_flwr.errors import WeakMaskKey

from ..support import bad_inputs
from . import plain

KEYS = [MaskKey.from_private(bytes([i]) * 32) for i in range(1, 6)]
PEERS = [Peer(bytes([0xA0 + i]) * 20, key.public) for i, key in enumerate(KEYS)]
ROUND = {"chain_id": 31337, "market": b"\x11" * 20, "epoch_seed": b"\x22" * 32, "epoch": 3, "round_number": 7, "task_hash": b"\x33" * 32}
LIMIT = 60.0
"""Of the chi-squared statistic below, 15 degrees of freedom: passed by chance once in two million times."""


def mask(place: int, peers: list[Peer] = PEERS, **changes: object) -> FieldVector:
    return GroupMask(KEYS[place], peers, **{**ROUND, **changes}).read(N)  # type: ignore[arg-type]


def unevenness(values: list[int]) -> float:
    """Chi-squared statistic of the elements' distribution over 16 equal parts of [0, R)."""
    counts = np.bincount([16 * value // R for value in values], minlength=16)
    expected = len(values) / 16
    return float(((counts - expected) ** 2 / expected).sum())


def test_group_masks_of_all_members_sum_to_zero() -> None:
    total = FieldVector.total([mask(place) for place in range(5)])
    assert total == FieldVector.zeros(N)


def test_group_masks_leave_the_sum_of_the_updates_exactly() -> None:
    updates = np.random.default_rng(0).integers(1 - (1 << 31), 1 << 31, (5, 2 * N))
    delivered = [pack(update) + mask(place) for place, update in enumerate(updates)]
    np.testing.assert_array_equal(unpack(FieldVector.total(delivered), members=5, bits=32), updates.sum(axis=0))


def test_group_mask_agrees_with_the_plain_twin() -> None:
    first, second, third = KEYS[:3]
    peers = PEERS[:3]
    head = b"OmniLytics/v2/mask" + plain.words([31337]) + b"\x11" * 20 + plain.words([3, 7])
    head += b"\x33" * 32 + plain.hash256(*(peer.address + peer.mask_key for peer in peers))

    def pad(lower: MaskKey, higher: MaskKey) -> list[int]:
        secret = X25519PrivateKey.from_private_bytes(lower.private_bytes()).exchange(X25519PublicKey.from_public_bytes(higher.public))
        return plain.expand(plain.hkdf(secret, b"\x22" * 32, head + lower.public + higher.public), N)

    expected = [(b - a) % R for a, b in zip(pad(first, second), pad(second, third), strict=True)]
    assert mask(1, peers).to_ints() == expected


def test_group_hash_follows_the_seats() -> None:
    assert group_hash(PEERS) == plain.hash256(*(peer.address + peer.mask_key for peer in PEERS))
    assert group_hash(PEERS) != group_hash(PEERS[::-1])


CHANGES = {"chain_id": 1, "market": b"\x12" * 20, "epoch_seed": b"\x23" * 32, "epoch": 4, "round_number": 8, "task_hash": b"\x34" * 32}


@pytest.mark.parametrize("name", CHANGES)
def test_group_mask_of_anything_else_differs_everywhere(name: str) -> None:
    here, there = mask(0).to_ints(), mask(0, **{name: CHANGES[name]}).to_ints()
    # Even the difference of two masks must look uniform: no pair's pad is used twice.
    assert unevenness([(a - b) % R for a, b in zip(here, there, strict=True)]) < LIMIT
    assert not set(here) & set(there)


def test_group_mask_of_another_group_differs() -> None:
    moved = [Peer(b"\xff" * 20, peer.mask_key) if i == 4 else peer for i, peer in enumerate(PEERS)]
    assert not set(mask(0).to_ints()) & set(mask(0, moved).to_ints())


def test_group_mask_pads_of_all_pairs_differ() -> None:
    pads = [mask(i, [PEERS[i], PEERS[k]]).to_ints() for i in range(5) for k in range(i + 1, 5)]
    assert len({value for pad in pads for value in pad}) == len(pads) * N


@pytest.mark.parametrize(("peers", "count"), [(PEERS[1:], 0), ([*PEERS, Peer(bytes(20), KEYS[0].public)], 2)])
def test_group_mask_without_ones_own_key_once_is_refused(peers: list[Peer], count: int) -> None:
    with pytest.raises(WeakMaskKey, match=f"the key of {count} members"):
        mask(0, peers)


def test_group_mask_with_a_low_order_peer_is_refused_by_name() -> None:
    with pytest.raises(WeakMaskKey, match="of low order") as refusal:
        mask(0, [*PEERS, Peer(bytes(20), bytes(32))])
    assert refusal.value.key == bytes(32)


@pytest.mark.parametrize("name", bad_inputs.LOW_ORDER_KEYS)
def test_check_mask_key_of_low_order_is_refused(name: str) -> None:
    raw = bad_inputs.LOW_ORDER_KEYS[name].to_bytes(32, "little")
    with pytest.raises(WeakMaskKey, match="of low order"):
        check_mask_key(raw)
    # It really is one: the library refuses to exchange with it.
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(raw))


@pytest.mark.parametrize("name", bad_inputs.NON_CANONICAL_KEYS)
def test_check_mask_key_not_canonical_is_refused(name: str) -> None:
    with pytest.raises(WeakMaskKey, match="not canonical"):
        check_mask_key(bad_inputs.NON_CANONICAL_KEYS[name].to_bytes(32, "little"))


@pytest.mark.parametrize("change", [bad_inputs.short_by_one, bad_inputs.long_by_one, lambda raw: b""])
def test_check_mask_key_of_wrong_length_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(WeakMaskKey, match="bytes long"):
        check_mask_key(change(KEYS[0].public))


@pytest.mark.parametrize("value", [2, 9, bad_inputs.CURVE_PRIME - 2])
def test_check_mask_key_beside_the_bad_ones_is_taken(value: int) -> None:
    check_mask_key(value.to_bytes(32, "little"))


def test_mask_key_there_and_back_and_hidden() -> None:
    key = MaskKey.generate()
    assert MaskKey.from_private(key.private_bytes()).public == key.public
    assert key.private_bytes().hex() not in repr(key) + str(key)
    assert MaskKey.generate().public != key.public


def test_uniform_elements_takes_the_field_and_nothing_else() -> None:
    top = 1 << 255
    words = [R - 1, R, 0, R + 1, top - 1, top | 5, top | R, top | (R - 1), (1 << 256) - 1, 1]
    elements = uniform_elements(plain.words(words))
    assert elements.to_ints() == [R - 1, 0, 5, R - 1, 1]


@pytest.mark.parametrize("lengths", [(0, 1, 2, 100, 4897), (4999, 1), (5000,), (1,) * 300])
def test_pad_agrees_with_the_plain_twin_in_whatever_pieces_it_is_read(lengths: tuple[int, ...]) -> None:
    key = b"\x77" * 32
    pad = Pad(key)
    assert [value for length in lengths for value in pad.read(length).to_ints()] == plain.expand(key, sum(lengths))


def test_group_mask_is_the_same_in_pieces() -> None:
    pieces = GroupMask(KEYS[2], PEERS, **ROUND)  # type: ignore[arg-type]
    assert [value for length in (1000, 1, N - 1001) for value in pieces.read(length).to_ints()] == mask(2).to_ints()


def test_pad_is_even_over_the_field() -> None:
    assert unevenness(Pad(b"\x78" * 32).read(40_000).to_ints()) < LIMIT


def test_pad_low_bits_are_even() -> None:
    elements = Pad(b"\x79" * 32).read(40_000)
    bits = np.unpackbits(np.frombuffer(elements.to_bytes(), dtype=np.uint8).reshape(-1, 32)[:, 1:], axis=1).mean(axis=0)
    # 248 bits, each a half up to six standard deviations.
    assert np.abs(bits - 0.5).max() < 6 * 0.5 / 200


@pytest.mark.parametrize(
    "draw",
    [lambda word: (word % 2**255) % R, lambda word: word % R, lambda word: word % 2**254, lambda word: word % R % (R - R // 1000)],
    ids=["255 bits reduced", "256 bits reduced", "254 bits", "top left out"],
)
def test_unevenness_of_a_biased_draw_is_seen(draw: Callable[[int], int]) -> None:
    raw = np.random.default_rng(6).bytes(32 * 40_000)
    values = [draw(int.from_bytes(raw[at : at + 32], "big")) for at in range(0, len(raw), 32)]
    assert unevenness(values) > LIMIT
