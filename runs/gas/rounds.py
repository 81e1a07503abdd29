"""A round of given size on a local chain of its own, every byte of it fixed, so that its gas is exact.

Members' vectors are multiples, by fixed factors as large as the field, of a few small polynomials, and sum to a small number of them in
each group: points are as different as those of masked updates, and made in no time; sums and proofs are real.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from py_arkworks_bls12381 import Scalar

from omnilytics_flwr.chain.deploy import create_market, deploy
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.curve import encode_point
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector, N, R
from omnilytics_flwr.crypto.fixedpoint import pack, polynomials_for
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit_polynomial
from omnilytics_flwr.crypto.masks import MaskKey
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.messages import sign_commitment, sign_delivery
from omnilytics_flwr.market.roster import bits_of, roster_hash
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Address, Terms
from tests.chain.market_play import fix_draw

EXACT, PROJECTED = "exact", "projected"
TRANSACTION_GAS, FLOOR_GAS_OF_A_BYTE = 21_000, 64
"""EIP-7976: whatever a transaction does, it costs so much, and so much for each byte."""
FIRST_BLOCK_SECONDS, BLOCK_SECONDS = 1_800_000_000, 12
UPDATE_BITS, LARGEST_UNIT = 10, 5
MOST_ACCUSABLE_POLYNOMIALS = 512


@dataclass(frozen=True, slots=True)
class Case:
    """One round to be measured; `verification` is ``exact`` or ``projected``."""

    verification: str
    owners: int
    groups: int
    weights: int

    @property
    def proven(self) -> int:
        """Polynomials that are proven for each member."""
        return 1 if self.verification == PROJECTED else polynomials_for(self.weights)

    def terms(self, verification: Address) -> Terms:
        """Terms of the market."""
        answers = polynomials_for(self.weights) <= MOST_ACCUSABLE_POLYNOMIALS
        return Terms(
            verification=verification,
            reward_wei=1,
            stake_wei=100,
            bond_wei=1000,
            most_owners=self.owners,
            group_size=self.owners // self.groups,
            faulty_groups=min(4, (self.groups - 3) // 2),
            weights=self.weights,
            update_bits=UPDATE_BITS,
            projected=self.verification == PROJECTED,
            clip_nano=10**9,
            norm_bound=2**60,
            rounds_per_epoch=100,
            answer_seconds=86_400 if answers else 0,
            prove_seconds=86_400,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """Gas of opening and of settling a round that is not the market's first, and the bytes of the settling call."""

    open_gas: int
    settle_gas: int
    bytes: int

    @property
    def gas_at_64_a_byte(self) -> int:
        """Gas of settling where calldata has the floor price of EIP-7976."""
        return max(self.settle_gas, TRANSACTION_GAS + FLOOR_GAS_OF_A_BYTE * self.bytes)


class MeasuredMarket:
    """A market of one case, drawn and funded, and everybody who is in it."""

    def __init__(self, anvil: Anvil, case: Case) -> None:
        self.case, self.connection = case, connect(anvil.url)
        sender = sender_for(self.connection, dev_wallet(0, self.connection))
        deployment = deploy(sender)
        market = create_market(sender, deployment, case.terms(deployment.verification))
        self.owner = EthereumLedger(sender, market)
        wallets = {wallet.address: wallet for wallet in (Wallet(Secret(fixed("wallet", i))) for i in range(case.owners))}
        for i, wallet in enumerate(wallets.values()):
            self.connection.request("anvil_setBalance", wallet.address, hex(10**18))
            EthereumLedger(sender_for(self.connection, wallet), market).join(MaskKey.from_private(fixed("mask key", i)).public)
        self.owner.fund(10**6)
        self.owner.freeze()
        self.owner.draw_with(fix_draw(anvil, self.owner.state().draw_block, fixed("draw", 0)))
        self.signers = {member.seat: wallets[member.owner] for member in self.owner.members()}
        self.roster = [bits_of(self.owner.group_seats(group)) for group in range(case.groups)]

    def play(self, number: int) -> Measured:
        """Anchor, open and settle a round."""
        projected, everything = self.case.verification == PROJECTED, (1 << self.case.groups) - 1
        self.owner.anchor(fixed("task", number))
        sums, points = self.deliveries()
        state = self.owner.state()
        task = TaskId(self.connection.chain_id, self.owner.address, state.epoch, state.round, state.task_hash)
        digests = {seat: fixed("digest", seat) if projected else points_digest(points[seat]) for seat in points}
        opened = self.owner.open(number, everything, roster_hash(everything, list(digests.values())))
        state = self.owner.state()
        signatures = tuple(
            sign_delivery(self.signers[seat], task, state.roster_hash, points_digest(points[seat]))
            if projected
            else sign_commitment(self.signers[seat], task, digests[seat], state.open_by)
            for seat in points
        )
        statement = Statement(
            task.settlement_context(state.epoch_seed), state.roster_hash, tuple(map(len, self.roster)), 0, self.case.proven
        )
        proof = prove(statement, sums, [[points[seat] for seat in group] for group in self.roster])
        settled = self.owner.settle(number, proof.settlement, signatures, 0, bytes(32))
        data = self.connection.request("eth_getTransactionByHash", settled.transaction_hash)["input"]
        return Measured(opened.gas_used, settled.gas_used, len(data) // 2 - 1)

    def deliveries(self) -> tuple[list[FieldVector], dict[int, bytes]]:
        """Sum of each group, and the points of each seat in the order of the roster."""
        random = np.random.default_rng(0)
        small = [pack(random.integers(-LARGEST_UNIT, LARGEST_UNIT + 1, 2 * N)) for _ in range(self.case.proven)]
        commitments = list(map(commit_polynomial, small))
        values = [value for vector in small for value in vector.to_ints()]
        sums, points = [], {}
        for position, group in enumerate(self.roster):
            # Three different sums, so that distances differ.
            total = 3 + position % 3
            factors = [int.from_bytes(fixed("factor", seat), "big") % R for seat in group[1:]]
            for seat, factor in zip(group, [(total - sum(factors)) % R, *factors], strict=True):
                points[seat] = b"".join(encode_point(point * Scalar(factor)) for point in commitments)
            sums.append(FieldVector.from_ints([total * value % R for value in values]))
        return sums, points


def fixed(name: str, number: int) -> bytes:
    """32 bytes that are always the same."""
    return keccak256(name.encode() + word(number))


def measure(case: Case) -> Measured:
    """Play two rounds of a new market on a new chain; the figures of the second."""
    with Anvil(AnvilOptions(timestamp=FIRST_BLOCK_SECONDS, block_seconds=BLOCK_SECONDS)) as anvil:
        market = MeasuredMarket(anvil, case)
        market.play(1)
        return market.play(2)
