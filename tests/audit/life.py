"""The life of a market on a local chain, with everything in it that a round can come to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from omnilytics_flwr.chain.deploy import Deployment, create_market
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.fixedpoint import quantise
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.crypto.masks import MaskKey
from omnilytics_flwr.crypto.projection import project, projection_seed
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.dispute import BURN_ADDRESS
from omnilytics_flwr.market.messages import sign_commitment, sign_delivery
from omnilytics_flwr.market.roster import bits_of, roster_hash
from omnilytics_flwr.market.task import TaskId
from tests.support.builders import make_task, make_terms

OWNERS, ODD = 15, 2
WEIGHTS = {"exact": 9_000, "projected": 9_000, "computed": 200}
BITS = 12
STRANGER = 40
NO_TASK = bytes(32)
DAY_SECONDS = 86_400


class Life:
    """A market whose seats are the numbers of its data owners; in a round that names an odd group, its members send the opposite."""

    def __init__(self, anvil: Anvil, connection: Connection, deployment: Deployment, kind: str) -> None:
        self.anvil, self.projected, self.computed = anvil, kind == "projected", kind == "computed"
        windows = dict.fromkeys(("commit_seconds", "accuse_seconds", "answer_seconds", "prove_seconds"), DAY_SECONDS)
        numbers = {"weights": WEIGHTS[kind], "update_bits": BITS, "norm_bound": 2**60, "outlier_percent": 125, "accuse_fee_wei": 777}
        verification = deployment.computed if self.computed else deployment.verification
        changes = windows | numbers | ({"answer_seconds": 0} if self.computed else {})
        terms = make_terms(verification=verification, projected=self.projected, **changes)
        senders = [sender_for(connection, dev_wallet(number, connection)) for number in range(OWNERS + 1)]
        address = create_market(senders[0], deployment, terms)
        self.owner, *self.data = [EthereumLedger(sender, address) for sender in senders]
        self.stranger = EthereumLedger(sender_for(connection, dev_wallet(STRANGER, connection)), address)
        self.odd = frozenset[int]()
        self.scheme = self.owner.scheme()
        self.vectors: dict[tuple[int, bool], tuple[FieldVector, bytes]] = {}

    def live(self) -> None:
        """From the first data owner to the last withdrawal: two epochs; rounds dropped, waived, never opened, void (where members can be
        accused), timed out and quiet.
        """
        self.enrol(range(OWNERS), 1)
        self.owner.fund(10**6)
        self.owner.anchor(make_task(1))
        self.settle_round(odd=ODD, next_task=make_task(2))
        self.settle_round(waived=1)
        self.owner.anchor(make_task(3))
        self.owner.anchor(make_task(4))
        if self.computed:
            self.settle_round()
        else:
            self.dispute()
        self.owner.anchor(make_task(5))
        self.open(roster=0b1111)
        self.anvil.set_next_timestamp(self.owner.state().settle_by + 1)
        self.stranger.timeout(5)
        self.owner.claim(self.data[0].account, 3)
        self.stranger.claim(self.data[0].account, 9)
        self.enrol(range(OWNERS), 2)
        self.owner.anchor(make_task(6))
        self.settle_round()
        self.data[1].leave()
        self.anvil.set_next_timestamp(self.data[1].owner_record(self.data[1].account).leave_at)
        self.stranger.depart(self.data[1].account)
        self.owner.close()
        self.owner.withdraw(self.owner.account)
        if not self.computed:
            self.owner.withdraw(BURN_ADDRESS)

    def enrol(self, seats: Iterable[int], epoch: int) -> None:
        """Everybody joins, and is drawn into groups."""
        for seat in seats:
            self.data[seat].join(MaskKey.from_private(keccak256(word(seat) + word(epoch))).public)
        self.owner.freeze()
        self.owner.draw()

    def open(self, odd: int | None = None, roster: int = 0b11111) -> None:
        """Open the anchored round."""
        self.groups = [bits_of(self.owner.group_seats(group)) for group in bits_of(roster)]
        self.odd = frozenset(self.groups[odd]) if odd is not None else frozenset()
        state = self.owner.state()
        self.task = TaskId(self.owner.chain_id, self.owner.address, state.epoch, state.round, state.task_hash)
        self.open_by = state.open_by
        self.opened_with = roster_hash(roster, self.digests())
        self.owner.open(state.round, roster, self.opened_with)
        self.seed = projection_seed(self.task.settlement_context(state.epoch_seed), self.opened_with)

    def settle_round(self, *, odd: int | None = None, waived: int = 0, next_task: bytes = NO_TASK) -> None:
        """Open the anchored round and settle it."""
        self.open(odd)
        self.settle(waived, 0, next_task)

    def dispute(self) -> None:
        """A round in which one of two accused answers, in two pieces, and the other is silent."""
        self.open()
        (answering, *_), *_, (*_, silent) = self.groups
        for seat in (answering, silent):
            self.owner.accuse(self.task.round, 1 << seat, self.digests(), (self.commitment(seat),))
        blobs = tuple(polynomial.to_bytes() for polynomial in self.vector(answering).polynomials())
        self.stranger.answer(self.task.round, answering, self.points(answering), 0, blobs[:1])
        self.data[answering].answer(self.task.round, answering, self.points(answering), 1, blobs[1:], self.delivery(answering))
        self.anvil.set_next_timestamp(self.owner.state().answer_by + 1)
        self.settle(0, 1 << 4, NO_TASK)

    def settle(self, waived: int, void: int, next_task: bytes) -> None:
        """Settle the open round."""
        outside = waived | void
        state, terms = self.owner.state(), self.owner.terms()
        context = self.task.settlement_context(state.epoch_seed)
        statement = Statement(context, self.opened_with, tuple(map(len, self.groups)), outside, terms.polynomials_proven)
        sums = [None if outside >> i & 1 else self.total(group) for i, group in enumerate(self.groups)]
        rows = [[self.shown(seat, outside=bool(outside >> i & 1)) for seat in group] for i, group in enumerate(self.groups)]
        inside = [seat for i, group in enumerate(self.groups) if not outside >> i & 1 for seat in group]
        signatures = tuple(self.delivery(seat)[32:] if self.projected else self.commitment(seat) for seat in inside)
        self.owner.settle(self.task.round, self.scheme.settle(statement, sums, rows).settlement, signatures, waived, next_task)

    def total(self, group: tuple[int, ...]) -> FieldVector:
        total = FieldVector.total([self.vector(seat) for seat in group])
        return self.scheme.summed([total], members=len(group), seed=self.seed)[0]

    def shown(self, seat: int, *, outside: bool) -> bytes:
        """What a settlement shows of a member."""
        if outside:
            return self.digest(seat)
        vector = self.vector(seat)
        return self.scheme.shown(vector, commit(project(vector, self.seed)) if self.projected else self.points(seat))

    def delivered(self, seat: int) -> tuple[FieldVector, bytes]:
        """A data owner's update, or its opposite, and the points that commit to it; it is the same in all rounds, and without a mask."""
        odd, terms = seat in self.odd, self.owner.terms()
        if (seat, odd) not in self.vectors:
            common, own = (
                np.random.default_rng(seed).normal(0, deviation, terms.weights) for seed, deviation in ((300, 0.05), (seat, 0.02))
            )
            update = own + (-common if odd else common)
            units = quantise(update, weights=terms.weights, places=self.scheme.places, bits=BITS, clip=1.0, key=keccak256(word(seat)))
            vector = self.scheme.pack(units)
            self.vectors[seat, odd] = vector, self.scheme.commit(vector)
        return self.vectors[seat, odd]

    def vector(self, seat: int) -> FieldVector:
        return self.delivered(seat)[0]

    def points(self, seat: int) -> bytes:
        return self.delivered(seat)[1]

    def digest(self, seat: int) -> bytes:
        return self.scheme.digest(self.vector(seat).to_bytes(), self.points(seat))

    def digests(self) -> tuple[bytes, ...]:
        return tuple(self.digest(seat) for group in self.groups for seat in group)

    def commitment(self, seat: int) -> bytes:
        return sign_commitment(self.data[seat].sender, self.task, self.digest(seat), self.open_by)

    def delivery(self, seat: int) -> bytes:
        """Projected digest and signature, in a projected market."""
        if not self.projected:
            return b""
        digest = points_digest(self.shown(seat, outside=False))
        return digest + sign_delivery(self.data[seat].sender, self.task, self.opened_with, digest)
