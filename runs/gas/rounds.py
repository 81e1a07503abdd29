"""A round of given size on a local chain of its own, every byte of it fixed, so that its gas is exact.

Members' vectors are multiples, by fixed factors as large as the field, of one small vector, and sum to a small number of it in each group:
points and elements are as different as those of masked updates, and made in no time; sums, proofs and checks are real.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from py_arkworks_bls12381 import Scalar

from omnilytics_flwr.chain.deploy import Deployment, create_market, deploy
from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.crypto.curve import encode_point
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector, R
from omnilytics_flwr.crypto.fixedpoint import WEIGHTS_PER_POLYNOMIAL, pack, polynomials_for
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit_polynomial
from omnilytics_flwr.crypto.lanes import Lanes
from omnilytics_flwr.crypto.masks import MaskKey
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.messages import sign_commitment, sign_delivery
from omnilytics_flwr.market.roster import bits_of, roster_hash
from omnilytics_flwr.market.scheme import scheme_for
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Terms, default_of
from tests.chain.market_play import fix_draw

EXACT, PROJECTED, COMPUTED = "exact", "projected", "computed"
TRANSACTION_GAS, FLOOR_GAS_OF_A_BYTE = 21_000, 64
"""EIP-7976: whatever a transaction does, it costs so much, and so much for each byte."""
FIRST_BLOCK_SECONDS, BLOCK_SECONDS = 1_800_000_000, 12
PROVEN_UPDATE_BITS, LARGEST_UNIT = 10, 5
"""Bits that any model may be projected with; what is proven costs the same with all."""
MOST_ACCUSABLE_POLYNOMIALS = 512


@dataclass(frozen=True, slots=True)
class Case:
    """One round to be measured; `verification` is ``exact``, ``projected`` or ``computed``."""

    verification: str
    owners: int
    groups: int
    weights: int

    @property
    def proven(self) -> int:
        """Polynomials that are proven for each member; none where the contract computes."""
        return {EXACT: polynomials_for(self.weights), PROJECTED: 1, COMPUTED: 0}[self.verification]

    @property
    def is_computed(self) -> bool:
        """Whether the contract computes distances itself, of updates with the usual bits: the fewer, the more weights an element has."""
        return self.verification == COMPUTED

    @property
    def lanes(self) -> Lanes:
        """How updates lie in the vectors of a computed market."""
        return Lanes(self.weights, default_of("update_bits"), self.owners // self.groups)

    def terms(self, deployment: Deployment) -> Terms:
        """Terms of the market."""
        answers = not self.is_computed and polynomials_for(self.weights) <= MOST_ACCUSABLE_POLYNOMIALS
        return Terms(
            verification=deployment.computed if self.is_computed else deployment.verification,
            reward_wei=1,
            stake_wei=100,
            bond_wei=1000,
            most_owners=self.owners,
            group_size=self.owners // self.groups,
            faulty_groups=min(4, (self.groups - 3) // 2),
            weights=self.weights,
            update_bits=self.lanes.update_bits if self.is_computed else PROVEN_UPDATE_BITS,
            projected=self.verification == PROJECTED,
            clip_nano=10**9,
            norm_bound=2**60,
            rounds_per_epoch=100,
            answer_seconds=86_400 if answers else 0,
            prove_seconds=86_400,
        )

    def small_vector(self) -> FieldVector:
        """What is summed: all that is proven, or computed with, of an update of small weights."""
        places = self.lanes.places if self.is_computed else WEIGHTS_PER_POLYNOMIAL * self.proven
        units = np.random.default_rng(0).integers(-LARGEST_UNIT, LARGEST_UNIT + 1, places)
        return self.lanes.pack(units) if self.is_computed else pack(units)


@dataclass(frozen=True, slots=True)
class Cost:
    """Gas of opening and of settling a round that is not the market's first, and the bytes of the settling call."""

    open_gas: int
    settle_gas: int
    bytes: int

    @property
    def gas_at_64_a_byte(self) -> int:
        """Gas of settling where calldata has the floor price of EIP-7976."""
        return max(self.settle_gas, TRANSACTION_GAS + FLOOR_GAS_OF_A_BYTE * self.bytes)


class MeasuredMarket:
    """A market of one case, drawn and funded, and everybody who is in it; with a `fixed_draw` groups are always the same, by a made-up
    block that no audit believes.
    """

    def __init__(self, anvil: Anvil, case: Case, *, fixed_draw: bool = True) -> None:
        self.case, self.connection = case, connect(anvil.url)
        sender = sender_for(self.connection, dev_wallet(0, self.connection))
        deployment = deploy(sender)
        terms = case.terms(deployment)
        self.scheme = scheme_for(terms, computed=case.is_computed)
        market = create_market(sender, deployment, terms)
        self.owner = EthereumLedger(sender, market)
        wallets = {wallet.address: wallet for wallet in (Wallet(Secret(fixed("wallet", i))) for i in range(case.owners))}
        for i, wallet in enumerate(wallets.values()):
            self.connection.request("anvil_setBalance", wallet.address, hex(10**18))
            EthereumLedger(sender_for(self.connection, wallet), market).join(MaskKey.from_private(fixed("mask key", i)).public)
        self.owner.fund(10**6)
        self.owner.freeze()
        if fixed_draw:
            self.owner.draw_with(fix_draw(anvil, self.owner.state().draw_block, fixed("draw", 0)))
        else:
            self.owner.draw()
        self.signers = {member.seat: wallets[member.owner] for member in self.owner.members()}
        self.roster = [bits_of(self.owner.group_seats(group)) for group in range(case.groups)]

    def play(self, number: int) -> Cost:
        """Anchor, open and settle a round."""
        projected, everything = self.case.verification == PROJECTED, (1 << self.case.groups) - 1
        self.owner.anchor(fixed("task", number))
        sums, shown = self.deliveries()
        state = self.owner.state()
        task = TaskId(self.connection.chain_id, self.owner.address, state.epoch, state.round, state.task_hash)
        digests = {seat: fixed("digest", seat) if projected else self.scheme.digest(shown[seat], shown[seat]) for seat in shown}
        opened = self.owner.open(number, everything, roster_hash(everything, list(digests.values())))
        state = self.owner.state()
        signatures = tuple(
            sign_delivery(self.signers[seat], task, state.roster_hash, points_digest(shown[seat]))
            if projected
            else sign_commitment(self.signers[seat], task, digests[seat], state.open_by)
            for seat in shown
        )
        statement = Statement(
            task.settlement_context(state.epoch_seed), state.roster_hash, tuple(map(len, self.roster)), 0, self.case.proven
        )
        proof = self.scheme.settle(statement, sums, [[shown[seat] for seat in group] for group in self.roster])
        settled = self.owner.settle(number, proof.settlement, signatures, 0, bytes(32))
        data = self.connection.request("eth_getTransactionByHash", settled.transaction_hash)["input"]
        return Cost(opened.gas_used, settled.gas_used, len(data) // 2 - 1)

    def deliveries(self) -> tuple[list[FieldVector], dict[int, bytes]]:
        """Sum of each group, and what is shown of each seat in the order of the roster: its points, or its vector."""
        small = self.case.small_vector()
        values, commitments = small.to_ints(), [] if self.case.is_computed else list(map(commit_polynomial, small.polynomials()))

        def multiple(factor: int) -> FieldVector:
            return FieldVector.from_ints(factor * value % R for value in values)

        sums, shown = [], {}
        for position, group in enumerate(self.roster):
            # Three different sums, so that distances differ.
            total = 3 + position % 3
            factors = [int.from_bytes(fixed("factor", seat), "big") % R for seat in group[1:]]
            for seat, factor in zip(group, [(total - sum(factors)) % R, *factors], strict=True):
                points = b"".join(encode_point(point * Scalar(factor)) for point in commitments)
                shown[seat] = points or multiple(factor).to_bytes()
            sums.append(multiple(total))
        return sums, shown


def fixed(name: str, number: int) -> bytes:
    """32 bytes that are always the same."""
    return keccak256(name.encode() + word(number))


def measure(case: Case) -> Cost:
    """Play two rounds of a new market on a new chain; the figures of the second."""
    with Anvil(AnvilOptions(timestamp=FIRST_BLOCK_SECONDS, block_seconds=BLOCK_SECONDS)) as anvil:
        market = MeasuredMarket(anvil, case)
        market.play(1)
        return market.play(2)
