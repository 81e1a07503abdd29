"""The market that `gas.py` measures: every byte of it follows from the names and numbers here."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from omnilytics_flwr.chain.deploy import create_market, deploy
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.address import address_bytes
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector, N
from omnilytics_flwr.crypto.fixedpoint import pack, quantise
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.keystream import Keystream
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.crypto.masks import GroupMask, MaskKey, Peer
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.dispute import BURN_ADDRESS
from omnilytics_flwr.market.messages import sign_commitment
from omnilytics_flwr.market.roster import bits_of, roster_hash
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address, Terms
from tests.chain.market_play import fix_draw

PREVRANDAO = keccak256(b"the randomness of the only draw")
OWNERS, CLIP = 20, 0.05
REWARD_WEI = 10**15
ROUNDS_CLAIMED = 8
EXAMPLES = 1200

Deliveries = dict[int, tuple[FieldVector, bytes]]
"""Vector and points of each member, by seat."""


def secret(name: str, *numbers: int) -> bytes:
    """A fixed secret of 32 bytes."""
    return keccak256(name.encode() + b"".join(map(word, numbers)))


def terms_for(verification: Address) -> Terms:
    """The terms of the measured market."""
    return Terms(
        verification=verification,
        reward_wei=REWARD_WEI,
        stake_wei=5 * REWARD_WEI,
        bond_wei=10 * REWARD_WEI,
        accuse_fee_wei=REWARD_WEI // 10,
        most_owners=OWNERS,
        group_size=4,
        faulty_groups=1,
        weights=20_314,
        update_bits=16,
        clip_nano=round(CLIP * 1e9),
        norm_bound=2**60,
        outlier_percent=0,
        rounds_per_epoch=100,
        metrics=("accuracy", "loss"),
    )


@dataclass
class Play:
    """The life of the measured market.

    Attributes
    ----------
    gas : dict of str to int
        Gas of each call so far.
    gas_of_data_owners : int
        Gas that data owners have paid in the rounds so far.
    settlement_bytes : int
        Length of a settlement.
    """

    anvil: Anvil
    connection: Connection
    owner: EthereumLedger
    data: tuple[EthereumLedger, ...]
    terms: Terms
    gas: dict[str, int] = field(default_factory=dict)
    gas_of_data_owners: int = 0
    settlement_bytes: int = 0

    @classmethod
    def start(cls, anvil: Anvil) -> Play:
        """Deploy the contracts and create the market."""
        connection = connect(anvil.url)
        wallet = dev_wallet(0, connection)
        deployment = deploy(sender_for(connection, wallet))
        terms = terms_for(deployment.verification)
        address = create_market(sender_for(connection, wallet), deployment, terms)
        gas = {transaction.event: transaction.gas_used for transaction in connection.transactions}
        ledgers = [EthereumLedger(sender_for(connection, dev_wallet(i, connection)), address) for i in range(OWNERS + 1)]
        return cls(anvil, connection, ledgers[0], tuple(ledgers[1:]), terms, gas)

    def run(self) -> None:
        """From the first data owner to the last withdrawal."""
        for number, ledger in enumerate(self.data):
            gas = ledger.join(mask_key(number).public, examples=EXAMPLES).gas_used
            self.gas.setdefault("join first" if number == 0 else "join next", gas)
        self.gas["fund"] = self.owner.fund(10**18).gas_used
        self.gas["freeze"] = self.owner.freeze().gas_used
        header = fix_draw(self.anvil, self.owner.state().draw_block, PREVRANDAO)
        self.gas["draw"] = self.owner.draw_with(header).gas_used
        self.gas["anchor"] = self.owner.anchor(secret("task", 1)).gas_used
        self.play_round("first")
        self.play_round("later")
        while self.owner.state().round <= ROUNDS_CLAIMED:
            self.play_waived_round()
        self.measure_ends()

    def play_round(self, which: str) -> None:
        """A round whose distances are proven; the next task is anchored with its settlement."""
        number, before = self.owner.state().round, len(self.connection.transactions)
        delivered = {seat: self.deliver(seat, number) for group in self.groups() for seat in group}
        self.gas[f"open {which}"] = self.open({seat: points_digest(points) for seat, (_, points) in delivered.items()})
        settlement, signatures = (
            self.prove(delivered),
            self.signatures({seat: points_digest(points) for seat, (_, points) in delivered.items()}),
        )
        self.settlement_bytes = len(settlement)
        receipt = self.owner.settle(number, settlement, tuple(signatures.values()), 0, secret("task", number + 1))
        self.gas[f"settle {which}"] = receipt.gas_used
        sent = self.connection.transactions[before:]
        self.gas_of_data_owners += sum(t.gas_used for t in sent if t.account != self.owner.account)

    def play_waived_round(self) -> None:
        """A round in which everybody is paid for nothing, so that there is more to claim."""
        number, roster = self.owner.state().round, self.groups()
        digests = {seat: secret("digest", number, seat) for group in roster for seat in group}
        self.open(digests)
        settlement = b"".join(digests[seat] for group in roster for seat in group)
        self.owner.settle(number, settlement, (), (1 << len(roster)) - 1, secret("task", number + 1))

    def play_disputed_round(self) -> None:
        """A round in which one of two accused answers and the other does not, so that its group is void; the other groups are proven."""
        number, roster = self.owner.state().round, self.groups()
        delivered = {seat: self.deliver(seat, number) for group in roster for seat in group}
        digests = {seat: points_digest(points) for seat, (_, points) in delivered.items()}
        in_order = tuple(digests.values())
        self.open(digests)
        signatures = self.signatures(digests)
        answering, lapsing = roster[0][0], roster[-1][-1]
        self.gas["accuse 1 seat"] = self.owner.accuse(number, 1 << answering, in_order, (signatures[answering],)).gas_used
        vector, points = delivered[answering]
        blobs = tuple(polynomial.to_bytes() for polynomial in vector.polynomials())
        self.gas[f"answer {len(blobs)} polynomials"] = self.data[answering].answer(number, answering, points, 0, blobs).gas_used
        self.owner.accuse(number, 1 << lapsing, in_order, (signatures[lapsing],))
        self.anvil.set_next_timestamp(self.owner.state().answer_by + 1)
        settlement = self.prove(delivered, void=len(roster) - 1)
        taking = tuple(signatures[seat] for group in roster[:-1] for seat in group)
        self.gas["settle void"] = self.owner.settle(number, settlement, taking, 0, secret("task", number + 1)).gas_used
        self.gas["join slashed"] = self.data[lapsing].join(mask_key(lapsing, 2).public, examples=EXAMPLES).gas_used
        self.gas["withdraw ether of a dispute"] = self.owner.withdraw(BURN_ADDRESS).gas_used
        self.owner.withdraw(self.owner.account)

    def measure_ends(self) -> None:
        """Claims, a dispute, a timeout, and the market's end; the last round is anchored."""
        payees = [m.owner for m in self.owner.members() if self.owner.paid_seats(1) >> m.seat & self.owner.paid_seats(2) >> m.seat & 1]
        self.gas["claim of 1 round"] = self.owner.claim(payees[0], 1).gas_used
        self.gas[f"claim of {ROUNDS_CLAIMED} rounds"] = self.owner.claim(payees[1], ROUNDS_CLAIMED).gas_used
        leaver = self.data[0]
        self.gas["join again"] = leaver.join(mask_key(0, 2).public, examples=EXAMPLES).gas_used
        self.play_disputed_round()
        number = self.owner.state().round
        self.open({seat: secret("digest", number, seat) for group in self.groups() for seat in group})
        self.anvil.set_next_timestamp(self.owner.state().settle_by + 1)
        self.gas["timeout"] = self.owner.timeout(number).gas_used
        self.gas["leave"] = leaver.leave().gas_used
        self.owner.claim(leaver.account, number)
        self.anvil.set_next_timestamp(leaver.owner_record(leaver.account).leave_at)
        self.gas["depart"] = leaver.depart().gas_used
        self.gas["close"] = self.owner.close().gas_used
        self.gas["withdraw"] = self.owner.withdraw(self.owner.account).gas_used

    def groups(self) -> list[tuple[int, ...]]:
        """Seats of each group."""
        return [bits_of(self.owner.group_seats(group)) for group in range(OWNERS // self.terms.group_size)]

    def open(self, digests: dict[int, bytes]) -> int:
        """Open the anchored round with all groups; the gas."""
        state, roster = self.owner.state(), self.groups()
        everything = (1 << len(roster)) - 1
        in_order = [digests[seat] for group in roster for seat in group]
        return self.owner.open(state.round, everything, roster_hash(everything, in_order)).gas_used

    def signatures(self, digests: dict[int, bytes]) -> dict[int, bytes]:
        """Commitment signatures of all members, in the order of the roster."""
        state = self.owner.state()
        task = self.task()
        seats = [seat for group in self.groups() for seat in group]
        return {seat: sign_commitment(self.data[seat].sender, task, digests[seat], state.open_by) for seat in seats}

    def deliver(self, seat: int, round_number: int) -> tuple[FieldVector, bytes]:
        """Masked vector and points of a data owner; its seat is its number, for all joined in order."""
        state, terms = self.owner.state(), self.terms
        mates = next(group for group in self.groups() if seat in group)
        peers = [Peer(address_bytes(self.data[mate].account), mask_key(mate).public) for mate in mates]
        mask = GroupMask(
            mask_key(seat),
            peers,
            chain_id=self.connection.chain_id,
            market=address_bytes(self.owner.address),
            epoch_seed=state.epoch_seed,
            epoch=state.epoch,
            round_number=round_number,
            task_hash=state.task_hash,
        ).read(N * terms.polynomials)
        key = secret("rounding", seat, round_number)
        update = update_of(seat, round_number, terms.weights)
        vector = pack(quantise(update, weights=terms.weights, bits=terms.update_bits, clip=CLIP, key=key)) + mask
        return vector, commit(vector)

    def task(self) -> TaskId:
        """The live round's task."""
        state = self.owner.state()
        return TaskId(self.connection.chain_id, self.owner.address, state.epoch, state.round, state.task_hash)

    def prove(self, delivered: Deliveries, void: int | None = None) -> bytes:
        """The settlement of the open round, in which the group at the position `void` takes no part."""
        state, roster = self.owner.state(), self.groups()
        statement = Statement(
            context=self.task().settlement_context(state.epoch_seed),
            roster_hash=state.roster_hash,
            sizes=tuple(map(len, roster)),
            outside=0 if void is None else 1 << void,
            polynomials=self.terms.polynomials,
        )
        sums = [None if i == void else FieldVector.total([delivered[seat][0] for seat in group]) for i, group in enumerate(roster)]
        shown = [
            [points_digest(delivered[seat][1]) if i == void else delivered[seat][1] for seat in group] for i, group in enumerate(roster)
        ]
        return prove(statement, sums, shown).settlement


def mask_key(number: int, epoch: int = 1) -> MaskKey:
    """Mask key of a data owner."""
    return MaskKey.from_private(secret("mask key", number, epoch))


def update_of(number: int, round_number: int, weights: int) -> np.ndarray:
    """An update, uniform in [-0.01, 0.01)."""
    words = np.frombuffer(Keystream(secret("update", number, round_number)).read(4 * weights), dtype="<u4")
    return words.astype(np.float64) * 2.0**-32 * 0.02 - 0.01
