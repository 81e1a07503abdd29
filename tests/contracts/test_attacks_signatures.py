"""Settlements with signatures that are not the members' own for this very task: every one is refused, and names the member.

The verification is dictated, for it is asked before anybody's signature is looked at. What else an opening or a settlement may have wrong:
`contracts/test/market`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from eth_keys.datatypes import PrivateKey

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import GROUP_ORDER, Secret, Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.messages import HALF_ORDER, Commitment, Signer, sign_commitment, sign_delivery
from omnilytics_flwr.market.refusals import BadSignature, WrongDigests
from omnilytics_flwr.market.roster import roster_hash
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address
from tests.support.builders import STRANGER, address_of, dictate, equal_distances, make_task

from .real_market import DAY, NO_TASK, RealMarket
from .twin import DICTATING

OWNERS, ALL = 16, 0b11111
PLACE = 5
"""The member whose signature is attacked: the second of the second group."""
Strings = tuple[bytes, ...]


@dataclass(frozen=True)
class Opened:
    """A market with an open round whose roster has these digests, and everybody's signatures, in its order."""

    market: RealMarket
    task: TaskId
    open_by: int
    seats: tuple[int, ...]
    wallets: dict[int, Signer]
    digests: Strings
    projected: bool

    @property
    def owners(self) -> tuple[Address, ...]:
        return tuple(self.wallets[seat].address for seat in self.seats)

    @property
    def signatures(self) -> Strings:
        return tuple(self.sign(place) for place in range(OWNERS))

    def sign(self, place: int = PLACE, *, by: Signer | None = None, digest: bytes | None = None, **changes: object) -> bytes:
        """What a settlement needs of the member at a place, with something changed: signer, digest, deadline, roster or the task."""
        open_by, roster = changes.pop("open_by", self.open_by), changes.pop("roster", roster_hash(ALL, self.digests))
        assert isinstance(open_by, int)
        assert isinstance(roster, bytes)
        task = replace(self.task, **changes)  # type: ignore[arg-type]
        signer, digest = by or self.wallets[self.seats[place]], digest or self.digests[place]
        return sign_delivery(signer, task, roster, digest) if self.projected else sign_commitment(signer, task, digest, open_by)

    def settle(self, signatures: Strings, digests: Strings | None = None) -> None:
        self.market.owner.settle(self.task.round, dictate(digests or self.digests, equal_distances(5)), signatures, 0, NO_TASK)


def open_dictated(connection: Connection, deployment: Deployment, projected: bool) -> Opened:
    """A market whose verification is dictated, with an open round."""
    sender = sender_for(connection, dev_wallet(0, connection))
    verification = sender.send("deploy", Payload(None, DICTATING), market_reverts()).contract
    market = RealMarket.create(connection, deployment, OWNERS, verification=verification, projected=projected).join_and_draw()
    return open_round(market, tuple(keccak256(b"digest" + word(place)) for place in range(OWNERS)), projected)


def open_round(market: RealMarket, digests: Strings, projected: bool = False) -> Opened:
    """Anchor, and open with these digests."""
    market.owner.anchor(make_task(1))
    seats = tuple(seat for group in market.seats(ALL) for seat in group)
    task, open_by = market.task(), market.owner.state().open_by
    market.owner.open(task.round, ALL, roster_hash(ALL, digests))
    return Opened(market, task, open_by, seats, market.wallets(), digests, projected)


@pytest.fixture(scope="module")
def exact_round(shared_anvil: Anvil, deployment: Deployment) -> Opened:
    """The market of `exact`."""
    return open_dictated(connect(shared_anvil.url), deployment, projected=False)


@pytest.fixture
def exact(anvil: Anvil, exact_round: Opened) -> Opened:
    """An exact market with an open round, where a settlement shows commitments."""
    return exact_round


@pytest.fixture(scope="module")
def projected_round(shared_anvil: Anvil, deployment: Deployment) -> Opened:
    """The market of `projected`."""
    return open_dictated(connect(shared_anvil.url), deployment, projected=True)


@pytest.fixture
def projected(anvil: Anvil, projected_round: Opened) -> Opened:
    """A projected market with an open round, where a settlement shows deliveries."""
    return projected_round


def assert_refused(opened: Opened, place: int, signatures: Strings, digests: Strings | None = None) -> None:
    """The settlement is refused for the signature of the member at this place."""
    with pytest.raises(BadSignature) as refusal:
        opened.settle(signatures, digests)

    assert refusal.value.args == (opened.seats[place], opened.owners[place])
    assert opened.market.owner.state().stage is Stage.OPEN


def put(items: Strings, changes: dict[int, bytes]) -> Strings:
    return tuple(changes.get(place, item) for place, item in enumerate(items))


def in_order(items: Strings, *places: int) -> Strings:
    """Those from the least of `places` on in the order of `places`."""
    return put(items, dict(zip(sorted(places), (items[place] for place in places), strict=True)))


def test_settle_with_everybodys_signatures_is_accepted(exact: Opened, projected: Opened) -> None:
    exact.settle(exact.signatures)
    # The digests of a projected settlement are those of projections, which nobody knew when the round opened.
    other = tuple(keccak256(digest) for digest in projected.digests)
    projected.settle(tuple(projected.sign(place, digest=digest) for place, digest in enumerate(other)), other)

    assert [one.market.owner.state().stage for one in (exact, projected)] == [Stage.IDLE, Stage.IDLE]


SWAPPED_GROUPS = (7, 8, 9, 4, 5, 6)
ROSTERS: dict[str, tuple[Callable[[Strings], Strings], int]] = {
    "a member twice": (lambda items: put(items, {4: items[5]}), 4),
    "members swapped in a group": (lambda items: in_order(items, 5, 4), 4),
    "groups swapped": (lambda items: in_order(items, *SWAPPED_GROUPS), 4),
    "a digest forged": (lambda items: put(items, {15: bytes(32)}), 15),
}
"""What is wrong with the digests that a round is opened with, and the place where it is noticed."""


@pytest.mark.parametrize(("change", "place"), ROSTERS.values(), ids=ROSTERS.keys())
def test_settle_of_a_round_opened_with_a_wrong_roster_is_refused(exact: Opened, change: Callable[[Strings], Strings], place: int) -> None:
    exact.settle(exact.signatures)
    again = open_round(exact.market, change(exact.digests))
    truly = replace(again, digests=exact.digests).signatures

    # Everybody has signed its own digest, wherever that is said to be; nobody has signed zeros.
    assert_refused(again, place, truly if place == 15 else change(truly))


def test_settle_with_other_digests_than_the_round_was_opened_with_is_refused(exact: Opened) -> None:
    swapped = in_order(exact.digests, 1, 0)

    with pytest.raises(WrongDigests) as refusal:
        exact.settle(in_order(exact.signatures, 1, 0), swapped)

    assert refusal.value.args == (roster_hash(ALL, swapped), roster_hash(ALL, exact.digests))


def test_settle_with_commitments_of_a_task_that_was_anchored_again_is_refused(exact: Opened) -> None:
    old = exact.signatures
    exact.settle(old)
    again = open_round(exact.market, exact.digests)

    assert_refused(again, 0, old)


# -------------------------------------------------------------------------------------------------------------------- signatures


def changed(change: Callable[[int, int, int], tuple[int, int, int]]) -> Callable[[Opened], bytes]:
    """The good signature with r, the parity of y, or s changed."""

    def apply(o: Opened) -> bytes:
        good = o.sign()
        packed = int.from_bytes(good[32:], "big")
        r, parity, s = change(int.from_bytes(good[:32], "big"), packed >> 255, packed & (1 << 255) - 1)
        return word(r) + word(s | parity << 255)

    return apply


SIGNATURES: dict[str, Callable[[Opened], bytes]] = {
    "by a stranger": lambda o: o.sign(by=dev_wallet(40, o.market.owner.connection)),
    "by the model owner": lambda o: o.sign(by=o.market.owner.sender),
    "by another member of the group": lambda o: o.sign(by=o.wallets[o.seats[PLACE - 1]]),
    "by a member of another group": lambda o: o.sign(by=o.wallets[o.seats[0]]),
    "of another member": lambda o: o.sign(PLACE + 1),
    "of another digest": lambda o: o.sign(digest=keccak256(b"another")),
    "of the digest of zeros": lambda o: o.sign(digest=bytes(32)),
    "of the other message": lambda o: replace(o, projected=not o.projected).sign(),
    "for another task": lambda o: o.sign(task_hash=make_task(2)),
    "for the round before": lambda o: o.sign(round=0),
    "for the next round": lambda o: o.sign(round=2),
    "for another epoch": lambda o: o.sign(epoch=2),
    "for another market": lambda o: o.sign(market=address_of(STRANGER)),
    "for another chain": lambda o: o.sign(chain_id=1),
    "of zeros": lambda o: bytes(64),
    "of ones": lambda o: b"\xff" * 64,
    "with r of zero": changed(lambda r, parity, s: (0, parity, s)),
    "with r of the curve's order": changed(lambda r, parity, s: (GROUP_ORDER, parity, s)),
    "with r and s swapped": changed(lambda r, parity, s: (s, parity, r & (1 << 255) - 1)),
    "with s of zero": changed(lambda r, parity, s: (r, parity, 0)),
    "with s just above half the order": changed(lambda r, parity, s: (r, parity, HALF_ORDER + 1)),
    "with the largest s there is room for": changed(lambda r, parity, s: (r, parity, (1 << 255) - 1)),
    "with the other parity": changed(lambda r, parity, s: (r, 1 - parity, s)),
    "with s negated": changed(lambda r, parity, s: (r, 1 - parity, GROUP_ORDER - s & (1 << 255) - 1)),
}
COMMITMENTS: dict[str, Callable[[Opened], bytes]] = {
    "for a later deadline": lambda o: o.sign(open_by=o.open_by + 1),
    "for an earlier deadline": lambda o: o.sign(open_by=o.open_by - 1),
}


@pytest.mark.parametrize("forge", (SIGNATURES | COMMITMENTS).values(), ids=(SIGNATURES | COMMITMENTS).keys())
def test_settle_with_a_commitment_that_is_not_the_members_is_refused(exact: Opened, forge: Callable[[Opened], bytes]) -> None:
    assert_refused(exact, PLACE, put(exact.signatures, {PLACE: forge(exact)}))


DELIVERIES = {"for another roster": lambda o: o.sign(roster=bytes(32))}


@pytest.mark.parametrize("forge", (SIGNATURES | DELIVERIES).values(), ids=(SIGNATURES | DELIVERIES).keys())
def test_settle_with_a_delivery_that_is_not_the_members_is_refused(projected: Opened, forge: Callable[[Opened], bytes]) -> None:
    assert_refused(projected, PLACE, put(projected.signatures, {PLACE: forge(projected)}))


def high_s_signature(signing_hash: bytes) -> tuple[bytes, bytes]:
    """A private key, and its signature of one hash whose s is above half the order and yet fits the compact form.

    For a random nonce k with r the x of k G, and a chosen s, the key d with s k = hash + r d.
    """
    nonce, s = 0x5EED, HALF_ORDER + 0xC0FFEE
    point = PrivateKey(word(nonce)).public_key.to_bytes()
    r, parity = int.from_bytes(point[:32], "big"), point[63] & 1
    key = (s * nonce - int.from_bytes(signing_hash, "big")) * pow(r, -1, GROUP_ORDER) % GROUP_ORDER
    return word(key), word(r) + word(s | parity << 255)


def test_settle_with_a_high_s_signature_that_recovers_to_the_member_is_refused(anvil: Anvil, deployment: Deployment) -> None:
    """A key made for one message: its signature has a high s, and the precompile recovers the member all the same."""
    connection = connect(anvil.url)
    sender = sender_for(connection, dev_wallet(0, connection))
    verification = sender.send("deploy", Payload(None, DICTATING), market_reverts()).contract
    market = RealMarket.create(connection, deployment, OWNERS, verification=verification)
    digest, anchored_at = keccak256(b"digest"), anvil.now() + DAY
    message = Commitment(1, 1, make_task(1), anchored_at + market.owner.terms().commit_seconds, digest)
    signing_hash = message.signing_hash(chain_id=market.owner.chain_id, market=market.owner.address)
    key, signature = high_s_signature(signing_hash)
    rogue = Wallet(Secret(key))
    anvil.endpoint.request("anvil_setBalance", rogue.address, hex(10**18))
    ledger = EthereumLedger(sender_for(market.owner.connection, rogue), market.owner.address)
    market = RealMarket(market.owner, (ledger, *market.data[1:])).join_and_draw()
    anvil.set_next_timestamp(anchored_at)
    opened = open_round(market, (digest,) * OWNERS)
    assert market.owner.commitment_hash(digest) == signing_hash
    assert recovered_by_precompile(market, signing_hash, signature) == rogue.address

    place, good = opened.seats.index(0), opened.signatures
    assert_refused(opened, place, put(good, {place: signature}))
    opened.settle(good)


def recovered_by_precompile(market: RealMarket, signing_hash: bytes, signature: bytes) -> str:
    packed = int.from_bytes(signature[32:], "big")
    data = signing_hash + word(27 + (packed >> 255)) + signature[:32] + word(packed & (1 << 255) - 1)
    answer = market.owner.connection.request("eth_call", {"to": "0x" + "00" * 19 + "01", "data": "0x" + data.hex()}, "latest")
    return next(ledger.account for ledger in market.data if ledger.account.lower() == "0x" + answer[-40:])
