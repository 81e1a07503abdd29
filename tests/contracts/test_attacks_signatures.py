"""Openings with a commitment that is not the member's own for this very task: every one is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.wallet import GROUP_ORDER, Secret, Wallet, dev_wallet
from omnilytics_flwr.market.commitment_message import HALF_ORDER, Commitment
from omnilytics_flwr.market.refusals import (
    BadSignature,
)
from omnilytics_flwr.market.stage import Stage
from tests.support.builders import STRANGER, address_of, make_task

from .anchored import ALL, PLACE, Anchored, put
from .real import DAY, RealMarket, high_s_signature


def changed(change: Callable[[int, int, int], tuple[int, int, int]]) -> Callable[[Anchored], bytes]:
    """The good signature with r, the parity of y, or s changed."""

    def apply(a: Anchored) -> bytes:
        packed = int.from_bytes(a.signatures[PLACE][32:], "big")
        r, parity, s = change(int.from_bytes(a.signatures[PLACE][:32], "big"), packed >> 255, packed & (1 << 255) - 1)
        return word(r) + word(s | parity << 255)

    return apply


SIGNATURES: dict[str, Callable[[Anchored], bytes]] = {
    "by a stranger": lambda a: a.sign(by=dev_wallet(40, a.market.owner.connection)),
    "by the model owner": lambda a: a.sign(by=a.market.owner.wallet),
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
    signatures = put(anchored.signatures, PLACE, forge(anchored))

    with pytest.raises(BadSignature) as refusal:
        anchored.open(signatures=signatures)

    assert refusal.value.args == (anchored.seats[PLACE], anchored.owners[PLACE])
    assert anchored.market.owner.state().stage is Stage.ANCHORED


def test_open_with_a_high_s_signature_that_recovers_to_the_member_is_refused(devnet: Devnet, deployment: Deployment) -> None:
    """A key made for one message: its signature has a high s, and the precompile recovers the member all the same."""
    market = RealMarket.create(connect(devnet.url), deployment, 15)
    digest, anchored_at = keccak256(b"digest"), devnet.now() + DAY
    message = Commitment(1, 1, make_task(1), digest, anchored_at + market.owner.terms().commit_seconds)
    signing_hash = message.signing_hash(chain_id=market.owner.chain_id, market=market.owner.address)
    key, signature = high_s_signature(signing_hash)
    rogue = Wallet(Secret(key))
    devnet.endpoint.request("anvil_setBalance", rogue.address, hex(10**18))
    ledger = EthereumLedger(market.owner.connection, market.owner.address, rogue)
    market = RealMarket(market.owner, (ledger, *market.data[1:])).join_and_draw()
    devnet.set_next_timestamp(anchored_at)
    market.owner.anchor(message.task_hash)
    seats = [seat for group in market.seats(ALL) for seat in group]
    place, digests = seats.index(0), (digest,) * 15
    signatures = market.commitments(ALL, digests)
    assert market.owner.commitment_hash(digest) == signing_hash
    assert recovered_by_precompile(market, signing_hash, signature) == rogue.address

    with pytest.raises(BadSignature) as refusal:
        market.owner.open(1, ALL, digests, put(signatures, place, signature))

    assert refusal.value.args == (0, rogue.address)
    market.owner.open(1, ALL, digests, signatures)


def recovered_by_precompile(market: RealMarket, signing_hash: bytes, signature: bytes) -> str:
    packed = int.from_bytes(signature[32:], "big")
    data = signing_hash + word(27 + (packed >> 255)) + signature[:32] + word(packed & (1 << 255) - 1)
    answer = market.owner.connection.request("eth_call", {"to": "0x" + "00" * 19 + "01", "data": "0x" + data.hex()}, "latest")
    return next(ledger.account for ledger in market.data if ledger.account.lower() == "0x" + answer[-40:])
