"""Masks that cancel in a group (docs/specification/protocol.md section 4).

Every two members share a secret by X25519; HKDF binds it to chain, market, epoch, round, task and group, and ChaCha20 expands it
to elements uniform below R. The member of the lower seat adds them, the other subtracts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import WeakMaskKey as WeakMaskKey
from .field import ELEMENT_BYTES, FieldVector, below_modulus, limbs_of_words
from .hashing import keccak256, label, word
from .keystream import KEY_BYTES, Keystream

CURVE_PRIME = 2**255 - 19
LOW_ORDER = frozenset(
    {
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        CURVE_PRIME - 1,
    }
)
"""All canonical u-coordinates of points whose order divides 8: a secret shared with such a key is zero, whoever the peer."""


class MaskKey:
    """X25519 key of one data owner for one epoch."""

    __slots__ = ("_private", "public")

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> MaskKey:
        """New key from the system's randomness."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_private(cls, raw: bytes) -> MaskKey:
        """Key from 32 secret bytes, any value."""
        return cls(X25519PrivateKey.from_private_bytes(raw))

    def private_bytes(self) -> bytes:
        """The 32 secret bytes, to be kept where only their owner reads, and deleted after the epoch."""
        return self._private.private_bytes_raw()

    def shared_secret(self, public: bytes) -> bytes:
        """X25519 with a peer's checked key, 32 bytes; WeakMaskKey if the key must not be used."""
        check_mask_key(public)
        return self._private.exchange(X25519PublicKey.from_public_bytes(public))

    def __repr__(self) -> str:
        return "MaskKey(<secret>)"


@dataclass(frozen=True, slots=True)
class Peer:
    """A member of a group.

    Attributes
    ----------
    address : bytes, length 20
    mask_key : bytes, length 32
        Public X25519 key of the epoch.
    """

    address: bytes
    mask_key: bytes


def check_mask_key(public: bytes) -> None:
    """Refuse a public key as the market does.

    Raises
    ------
    WeakMaskKey
        Not 32 bytes, not below 2^255 - 19 (little-endian), or of low order.
    """
    if len(public) != KEY_BYTES:
        raise WeakMaskKey(public, f"{len(public)} bytes long")
    value = int.from_bytes(public, "little")
    if value >= CURVE_PRIME:
        raise WeakMaskKey(public, "not canonical")
    if value in LOW_ORDER:
        raise WeakMaskKey(public, "of low order")


def group_hash(peers: Sequence[Peer]) -> bytes:
    """Keccak-256 of address and mask key of every member of a group, by seat; 32 bytes."""
    return keccak256(b"".join(peer.address + peer.mask_key for peer in peers))


class GroupMask:
    """What one member adds to its packed update, a piece at a time; over all members of the group these sum to zero.

    Chain, market (20 bytes), epoch and its seed (32 bytes), round and task (32 bytes) bind the mask: no two tasks share one.

    Parameters
    ----------
    own : MaskKey
        The member's own key, whose public half is among `peers`.
    peers : sequence of Peer
        All members of the group by seat, oneself included.

    Raises
    ------
    WeakMaskKey
        A peer's key must not be used, or one's own is not that of exactly one member.
    """

    __slots__ = ("_added", "_subtracted")

    def __init__(
        self,
        own: MaskKey,
        peers: Sequence[Peer],
        *,
        chain_id: int,
        market: bytes,
        epoch_seed: bytes,
        epoch: int,
        round_number: int,
        task_hash: bytes,
    ) -> None:
        keys = [peer.mask_key for peer in peers]
        if keys.count(own.public) != 1:
            raise WeakMaskKey(own.public, f"the key of {keys.count(own.public)} members, expected of exactly one,")
        place = keys.index(own.public)
        round_words = word(chain_id) + market + word(epoch) + word(round_number) + task_hash + group_hash(peers)
        pads = []
        for other, peer_key in enumerate(keys):
            if other != place:
                lower, higher = sorted((place, other))
                info = label("mask") + round_words + keys[lower] + keys[higher]
                kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=epoch_seed, info=info)
                pads.append(Pad(kdf.derive(own.shared_secret(peer_key))))
        self._subtracted, self._added = pads[:place], pads[place:]

    def read(self, length: int) -> FieldVector:
        """The next `length` elements."""
        mask = FieldVector.zeros(length)
        for pad in self._added:
            mask = mask + pad.read(length)
        for pad in self._subtracted:
            mask = mask - pad.read(length)
        return mask


class Pad:
    """Field elements uniform below R: the acceptable words of the keystream of a key of 32 bytes, in their order."""

    __slots__ = ("_spare", "_stream")

    def __init__(self, key: bytes) -> None:
        self._stream = Keystream(key)
        self._spare = np.zeros((0, 4), dtype=np.uint64)

    def read(self, length: int) -> FieldVector:
        """The next `length` elements."""
        parts, self._spare = [self._spare[:length]], self._spare[length:]
        missing = length - len(parts[0])
        while missing > 0:
            # R is 0.9057 of 2^255: nine words in ten are taken, and a few more than the mean are drawn to be done at once.
            drawn = uniform_elements(self._stream.read(ELEMENT_BYTES * (missing * 9 // 8 + 64))).limbs
            parts.append(drawn[:missing])
            self._spare, missing = drawn[missing:], missing - len(parts[-1])
        return FieldVector(np.concatenate(parts))


def uniform_elements(keystream: bytes) -> FieldVector:
    """Big-endian 32-byte words with their top bit cleared, less those not below R: no value is likelier than another."""
    limbs = limbs_of_words(keystream)
    limbs[:, 3] &= np.uint64((1 << 63) - 1)
    return FieldVector(limbs[below_modulus(limbs)])
