"""Openings with commitments that are not the members' own for this very task: every one is refused, and names the member.

All else that an opening may have wrong: `contracts/test/market/Round.t.sol`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from eth_keys.datatypes import PrivateKey

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.wallet import GROUP_ORDER, Secret, Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.commitment_message import HALF_ORDER, Commitment, Signer, sign_commitment
from omnilytics_flwr.market.refusals import BadSignature
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address
from tests.support.builders import STRANGER, address_of, make_task

from .real_market import DAY, RealMarket

OWNERS, ALL = 16, 0b11111
PLACE = 5
"""The member whose signature is attacked: the second of the second group."""
Strings = tuple[bytes, ...]


@dataclass(frozen=True)
class Anchored:
    """A market with an anchored task and everybody's commitment, in roster order."""

    market: RealMarket
    task: TaskId
    open_by: int
    seats: tuple[int, ...]
    wallets: dict[int, Signer]
    digests: tuple[bytes, ...]
    signatures: tuple[bytes, ...]

    @property
    def owners(self) -> tuple[Address, ...]:
        return tuple(self.wallets[seat].address for seat in self.seats)

    def sign(self, place: int = PLACE, *, by: Signer | None = None, digest: bytes | None = None, **changes: object) -> bytes:
        """A commitment of the member at a place with something changed: signer, digest, deadline, or a field of the task."""
        open_by = changes.pop("open_by", self.open_by)
        task = replace(self.task, **changes)  # type: ignore[arg-type]
        assert isinstance(open_by, int)
        return sign_commitment((by or self.wallets[self.seats[place]]), task, digest or self.digests[place], open_by)

    def open(self, digests: Strings | None = None, signatures: Strings | None = None, round_number: int = 1) -> None:
        self.market.owner.open(round_number, ALL, digests or self.digests, signatures or self.signatures)


@pytest.fixture(scope="module")
def anchored_market(shared_anvil: Anvil, deployment: Deployment) -> Anchored:
    """The market of `anchored`."""
    market = RealMarket.create(connect(shared_anvil.url), deployment, OWNERS).join_and_draw()
    market.owner.anchor(make_task(1))
    digests = tuple(keccak256(b"digest" + word(place)) for place in range(OWNERS))
    seats = tuple(seat for group in market.seats(ALL) for seat in group)
    open_by = market.owner.state().open_by
    return Anchored(market, market.task(), open_by, seats, market.wallets(), digests, market.commitments(ALL, digests))


@pytest.fixture
def anchored(anvil: Anvil, anchored_market: Anchored) -> Anchored:
    """A market with an anchored task and everybody's commitment."""
    return anchored_market


def put(items: Strings, changes: dict[int, bytes]) -> Strings:
    return tuple(changes.get(place, item) for place, item in enumerate(items))


def in_order(items: Strings, *places: int) -> Strings:
    """Those from `places[0]` on in the order of `places`."""
    return put(items, dict(zip(sorted(places), (items[place] for place in places), strict=True)))


Changed = Callable[[Anchored], tuple[Strings, Strings]]
SWAPPED_GROUPS = (7, 8, 9, 4, 5, 6)
ROSTERS: dict[str, tuple[Changed, int]] = {
    "a member twice": (lambda a: (put(a.digests, {4: a.digests[5]}), put(a.signatures, {4: a.signatures[5]})), 4),
    "members swapped in a group": (lambda a: (in_order(a.digests, 5, 4), in_order(a.signatures, 5, 4)), 4),
    "groups swapped": (lambda a: (in_order(a.digests, *SWAPPED_GROUPS), in_order(a.signatures, *SWAPPED_GROUPS)), 4),
    "digests swapped": (lambda a: (in_order(a.digests, 1, 0), a.signatures), 0),
    "a digest forged": (lambda a: (put(a.digests, {15: bytes(32)}), a.signatures), 15),
}
"""What is wrong, and the place where it is noticed."""


@pytest.mark.parametrize(("change", "place"), ROSTERS.values(), ids=ROSTERS.keys())
def test_open_with_a_wrong_roster_is_refused(anchored: Anchored, change: Changed, place: int) -> None:
    with pytest.raises(BadSignature) as refusal:
        anchored.open(*change(anchored))

    assert refusal.value.args == (anchored.seats[place], anchored.owners[place])
    assert anchored.market.owner.state().stage is Stage.ANCHORED


def test_open_with_everybodys_commitment_is_accepted(anchored: Anchored) -> None:
    anchored.open()

    state = anchored.market.owner.state()
    assert (state.stage, state.roster_hash) == (Stage.OPEN, keccak256(b"".join(anchored.digests)))


def test_open_with_old_commitments_after_anchoring_again_is_refused(anchored: Anchored) -> None:
    anchored.market.owner.anchor(anchored.task.task_hash)

    with pytest.raises(BadSignature) as refusal:
        anchored.open(round_number=2)

    assert refusal.value.args == (anchored.seats[0], anchored.owners[0])


# -------------------------------------------------------------------------------------------------------------------- signatures


def changed(change: Callable[[int, int, int], tuple[int, int, int]]) -> Callable[[Anchored], bytes]:
    """The good signature with r, the parity of y, or s changed."""

    def apply(a: Anchored) -> bytes:
        packed = int.from_bytes(a.signatures[PLACE][32:], "big")
        r, parity, s = change(int.from_bytes(a.signatures[PLACE][:32], "big"), packed >> 255, packed & (1 << 255) - 1)
        return word(r) + word(s | parity << 255)

    return apply


SIGNATURES: dict[str, Callable[[Anchored], bytes]] = {
    "by a stranger": lambda a: a.sign(by=dev_wallet(40, a.market.owner.connection)),
    "by the model owner": lambda a: a.sign(by=a.market.owner.sender),
    "by another member of the group": lambda a: a.sign(by=a.wallets[a.seats[PLACE - 1]]),
    "by a member of another group": lambda a: a.sign(by=a.wallets[a.seats[0]]),
    "of another member": lambda a: a.signatures[PLACE + 1],
    "of another digest": lambda a: a.sign(digest=keccak256(b"another")),
    "of the digest of zeros": lambda a: a.sign(digest=bytes(32)),
    "for another task": lambda a: a.sign(task_hash=make_task(2)),
    "for the round before": lambda a: a.sign(round=0),
    "for the next round": lambda a: a.sign(round=2),
    "for another epoch": lambda a: a.sign(epoch=2),
    "for another market": lambda a: a.sign(market=address_of(STRANGER)),
    "for another chain": lambda a: a.sign(chain_id=1),
    "for a later deadline": lambda a: a.sign(open_by=a.open_by + 1),
    "for an earlier deadline": lambda a: a.sign(open_by=a.open_by - 1),
    "of zeros": lambda a: bytes(64),
    "of ones": lambda a: b"\xff" * 64,
    "with r of zero": changed(lambda r, parity, s: (0, parity, s)),
    "with r of the curve's order": changed(lambda r, parity, s: (GROUP_ORDER, parity, s)),
    "with r and s swapped": changed(lambda r, parity, s: (s, parity, r & (1 << 255) - 1)),
    "with s of zero": changed(lambda r, parity, s: (r, parity, 0)),
    "with s just above half the order": changed(lambda r, parity, s: (r, parity, HALF_ORDER + 1)),
    "with the largest s there is room for": changed(lambda r, parity, s: (r, parity, (1 << 255) - 1)),
    "with the other parity": changed(lambda r, parity, s: (r, 1 - parity, s)),
    "with s negated": changed(lambda r, parity, s: (r, 1 - parity, GROUP_ORDER - s & (1 << 255) - 1)),
}


@pytest.mark.parametrize("forge", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_open_with_a_signature_that_is_not_the_members_is_refused(anchored: Anchored, forge: Callable[[Anchored], bytes]) -> None:
    signatures = put(anchored.signatures, {PLACE: forge(anchored)})

    with pytest.raises(BadSignature) as refusal:
        anchored.open(signatures=signatures)

    assert refusal.value.args == (anchored.seats[PLACE], anchored.owners[PLACE])
    assert anchored.market.owner.state().stage is Stage.ANCHORED


def high_s_signature(signing_hash: bytes) -> tuple[bytes, bytes]:
    """A private key, and its signature of one hash whose s is above half the order and yet fits the compact form.

    For a random nonce k with r the x of k G, and a chosen s, the key d with s k = hash + r d.
    """
    nonce, s = 0x5EED, HALF_ORDER + 0xC0FFEE
    point = PrivateKey(word(nonce)).public_key.to_bytes()
    r, parity = int.from_bytes(point[:32], "big"), point[63] & 1
    key = (s * nonce - int.from_bytes(signing_hash, "big")) * pow(r, -1, GROUP_ORDER) % GROUP_ORDER
    return word(key), word(r) + word(s | parity << 255)


def test_open_with_a_high_s_signature_that_recovers_to_the_member_is_refused(anvil: Anvil, deployment: Deployment) -> None:
    """A key made for one message: its signature has a high s, and the precompile recovers the member all the same."""
    market = RealMarket.create(connect(anvil.url), deployment, 15)
    digest, anchored_at = keccak256(b"digest"), anvil.now() + DAY
    message = Commitment(1, 1, make_task(1), digest, anchored_at + market.owner.terms().commit_seconds)
    signing_hash = message.signing_hash(chain_id=market.owner.chain_id, market=market.owner.address)
    key, signature = high_s_signature(signing_hash)
    rogue = Wallet(Secret(key))
    anvil.endpoint.request("anvil_setBalance", rogue.address, hex(10**18))
    ledger = EthereumLedger(sender_for(market.owner.connection, rogue), market.owner.address)
    market = RealMarket(market.owner, (ledger, *market.data[1:])).join_and_draw()
    anvil.set_next_timestamp(anchored_at)
    market.owner.anchor(message.task_hash)
    seats = [seat for group in market.seats(ALL) for seat in group]
    place, digests = seats.index(0), (digest,) * 15
    signatures = market.commitments(ALL, digests)
    assert market.owner.commitment_hash(digest) == signing_hash
    assert recovered_by_precompile(market, signing_hash, signature) == rogue.address

    with pytest.raises(BadSignature) as refusal:
        market.owner.open(1, ALL, digests, put(signatures, {place: signature}))

    assert refusal.value.args == (0, rogue.address)
    market.owner.open(1, ALL, digests, signatures)


def recovered_by_precompile(market: RealMarket, signing_hash: bytes, signature: bytes) -> str:
    packed = int.from_bytes(signature[32:], "big")
    data = signing_hash + word(27 + (packed >> 255)) + signature[:32] + word(packed & (1 << 255) - 1)
    answer = market.owner.connection.request("eth_call", {"to": "0x" + "00" * 19 + "01", "data": "0x" + data.hex()}, "latest")
    return next(ledger.account for ledger in market.data if ledger.account.lower() == "0x" + answer[-40:])
