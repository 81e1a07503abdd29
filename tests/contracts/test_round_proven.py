"""A round of the real verification on a chain, exact and projected: delivered, disputed, proven, selected as the Python side says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment, create_market
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.crypto.address import address_bytes
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector, N
from omnilytics_flwr.crypto.fixedpoint import pack, quantise
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.crypto.masks import GroupMask, MaskKey, Peer
from omnilytics_flwr.crypto.projection import COPIES, project, projection_seed
from omnilytics_flwr.crypto.prover import Proof, prove
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.crypto.verifier import verify
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.krum import select_for
from omnilytics_flwr.market.messages import Signer, Voucher, sign_commitment, sign_delivery, sign_voucher
from omnilytics_flwr.market.refusals import BadSignature, NotAdmitted, Unresolved
from omnilytics_flwr.market.roster import bitmap_of, bits_of, roster_hash
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address, Terms
from tests.support.builders import make_task, make_terms

OWNERS, ALL, WEIGHTS, BITS, CLIP = 15, 0b11111, 9_000, 12, 1.0
NO_TASK = bytes(32)


@dataclass
class Played:
    """An open round as all its parties know it; deliveries by seat, in the order of the roster."""

    owner: EthereumLedger
    data: tuple[EthereumLedger, ...]
    task: TaskId
    roster: list[tuple[int, ...]]
    vectors: dict[int, FieldVector]
    points: dict[int, bytes]
    projected: dict[int, bytes]

    @property
    def digests(self) -> tuple[bytes, ...]:
        return tuple(points_digest(points) for points in self.points.values())

    def delivery(self, seat: int) -> bytes:
        """Projected digest and signature."""
        digest = points_digest(self.projected[seat])
        return digest + sign_delivery(self.data[seat].sender, self.task, self.owner.state().roster_hash, digest)

    def signatures(self, open_by: int) -> tuple[bytes, ...]:
        """What a settlement of all groups brings."""
        if self.projected:
            return tuple(self.delivery(seat)[32:] for seat in self.points)
        return tuple(sign_commitment(self.data[s].sender, self.task, d, open_by) for s, d in zip(self.points, self.digests, strict=True))

    def prove(self) -> tuple[Statement, Proof]:
        """The honest settlement, and what it is about."""
        state, terms = self.owner.state(), self.owner.terms()
        context = self.task.settlement_context(state.epoch_seed)
        statement = Statement(context, state.roster_hash, tuple(map(len, self.roster)), 0, terms.polynomials_proven)
        seed = projection_seed(context, state.roster_hash)
        sums = [FieldVector.total([self.vectors[seat] for seat in group]) for group in self.roster]
        if terms.projected:
            sums = [project(total, seed) for total in sums]
        shown = self.projected or self.points
        return statement, prove(statement, sums, [[shown[seat] for seat in group] for group in self.roster])


def mask_key(number: int) -> MaskKey:
    return MaskKey.from_private(keccak256(b"mask" + word(number)))


def terms_for(deployment: Deployment, **changes: object) -> Terms:
    """Windows of days; the members of group 2 send the opposite of what others do."""
    windows = dict.fromkeys(("commit_seconds", "accuse_seconds", "answer_seconds", "prove_seconds"), 86_400)
    sizes = {"weights": WEIGHTS, "update_bits": BITS, "norm_bound": 2**60, "outlier_percent": 125}
    return make_terms(verification=deployment.verification, **(windows | sizes | changes))


def play(connection: Connection, deployment: Deployment, projected: bool) -> Played:
    """From the first data owner to the deliveries of an open round."""
    senders = [sender_for(connection, dev_wallet(i, connection)) for i in range(OWNERS + 1)]
    address = create_market(senders[0], deployment, terms_for(deployment, projected=projected))
    owner, *data = [EthereumLedger(sender, address) for sender in senders]
    for number, ledger in enumerate(data):
        ledger.join(mask_key(number).public)
    owner.fund(10**6)
    owner.freeze()
    owner.draw()
    owner.anchor(make_task(1))
    state = owner.state()
    roster = [bits_of(owner.group_seats(group)) for group in range(5)]
    rng = np.random.default_rng(3)
    common, vectors = rng.normal(0, 0.05, WEIGHTS), {}
    for position, group in enumerate(roster):
        peers = [Peer(address_bytes(data[seat].account), mask_key(seat).public) for seat in group]
        for seat in group:
            update = (common if position != 2 else -common) + rng.normal(0, 0.05, WEIGHTS)
            units = quantise(update, weights=WEIGHTS, bits=BITS, clip=CLIP, key=keccak256(word(seat)))
            mask = GroupMask(
                mask_key(seat),
                peers,
                chain_id=owner.chain_id,
                market=address_bytes(address),
                epoch_seed=state.epoch_seed,
                epoch=1,
                round_number=1,
                task_hash=state.task_hash,
            ).read(2 * N)
            vectors[seat] = pack(units) + mask
    points = {seat: commit(vector) for seat, vector in vectors.items()}
    opened_with = roster_hash(ALL, [points_digest(row) for row in points.values()])
    owner.open(1, ALL, opened_with)
    task = TaskId(owner.chain_id, address, 1, 1, state.task_hash)
    seed = projection_seed(task.settlement_context(state.epoch_seed), opened_with)
    shown = {seat: commit(project(vector, seed)) for seat, vector in vectors.items()} if projected else {}
    return Played(owner, tuple(data), task, roster, vectors, points, shown)


@pytest.mark.parametrize("projected", [False, True], ids=["exact", "projected"])
def test_round_is_proven_selected_and_paid_as_python_says(connection: Connection, deployment: Deployment, projected: bool) -> None:
    played = play(connection, deployment, projected)
    owner, terms = played.owner, played.owner.terms()
    open_by = owner.state().open_by
    statement, proof = played.prove()

    assert verify(statement, proof.settlement) == proof.verdict
    signatures = played.signatures(open_by)
    with pytest.raises(BadSignature):
        owner.settle(1, proof.settlement, (signatures[1], signatures[0], *signatures[2:]), 0, NO_TASK)
    receipt = owner.settle(1, proof.settlement, signatures, 0, NO_TASK)

    selection = select_for(terms, proof.verdict.distances, statement.sizes, copies=COPIES if projected else 1)
    assert selection.dropped == (2,)
    assert receipt.logs["Settled"]["accepted"] == bitmap_of(selection.accepted)
    assert owner.paid_seats(1) == bitmap_of(seat for position in selection.accepted for seat in played.roster[position])


@pytest.mark.parametrize("projected", [False, True], ids=["exact", "projected"])
def test_accused_answers_with_blobs_and_settling_waits_for_it(connection: Connection, deployment: Deployment, projected: bool) -> None:
    played = play(connection, deployment, projected)
    owner, seat = played.owner, played.roster[1][0]
    open_by = owner.state().open_by
    place = list(played.points).index(seat)
    ledger = played.data[seat]
    own = sign_commitment(ledger.sender, played.task, played.digests[place], open_by)
    owner.accuse(1, 1 << seat, played.digests, (own,))
    _, proof = played.prove()
    with pytest.raises(Unresolved):
        owner.settle(1, proof.settlement, played.signatures(open_by), 0, NO_TASK)

    blobs = tuple(polynomial.to_bytes() for polynomial in played.vectors[seat].polynomials())
    ledger.answer(1, seat, played.points[seat], 0, blobs[:1])
    receipt = ledger.answer(1, seat, played.points[seat], 0, blobs, played.delivery(seat) if projected else b"")

    assert ("Delivered" in receipt.logs) == projected
    assert FieldVector.from_bytes(owner.answered_vector(1, seat), 2 * 4096) == played.vectors[seat]
    owner.settle(1, proof.settlement, played.signatures(open_by), 0, NO_TASK)
    assert owner.paid_seats(1) >> seat & 1


def test_voucher_admits_its_owner_to_its_market_through_its_epoch(connection: Connection, deployment: Deployment) -> None:
    model_owner, data_owner = (sender_for(connection, dev_wallet(i, connection)) for i in (0, 1))
    creation = artifacts.load(artifacts.ADMISSION).creation_code
    gate = model_owner.send("deploy gate", Payload(None, creation), market_reverts()).contract
    assert gate is not None
    market = create_market(model_owner, deployment, terms_for(deployment, admission=gate))
    ledger = EthereumLedger(data_owner, market)

    def shown(owner: Address, epoch: int, of: Address = market, by: Signer = model_owner) -> bytes:
        return sign_voucher(by, Voucher(of, owner, epoch), chain_id=connection.chain_id, gate=gate)

    good = shown(data_owner.address, 1)
    bad = {
        "none": b"",
        "another's": shown(model_owner.address, 1),
        "over": shown(data_owner.address, 0),
        "another market": shown(data_owner.address, 1, of=gate),
        "own signature": shown(data_owner.address, 1, by=data_owner),
        "changed epoch": b"\0\0\0\2" + good[4:],
    }
    for data in bad.values():
        with pytest.raises(NotAdmitted):
            ledger.join(mask_key(1).public, data)
    ledger.join(mask_key(1).public, good)
    assert ledger.owner_record(data_owner.address).registered
