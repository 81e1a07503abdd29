"""Measure what opening and settling a round costs, by the number of owners and groups; exact or projected.

python contracts/gas_cases.py 20:5 100:20          projected rounds of 20 owners in 5 groups, and of 100 in 20
python contracts/gas_cases.py 20:5 --weights 20314 --exact

Members' vectors are multiples of one small vector by random factors, which sum to a small number in each group: their points are as
different as real ones, and the proof is real. Needs the local chain (anvil).
"""

from __future__ import annotations

import argparse
import secrets
from dataclasses import dataclass

import numpy as np
from py_arkworks_bls12381 import G1Point, Scalar

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
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.messages import sign_commitment, sign_delivery
from omnilytics_flwr.market.roster import bits_of, roster_hash
from omnilytics_flwr.market.task import TaskId
from omnilytics_flwr.market.terms import Terms

BYTE_GAS_NOW, BYTE_GAS_LATER, TRANSACTION_GAS = 40, 64, 21_000


@dataclass(frozen=True)
class Case:
    """One round to be measured."""

    owners: int
    groups: int
    weights: int
    projected: bool


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="OWNERS:GROUPS")
    parser.add_argument("--weights", type=int, default=10**6)
    parser.add_argument("--exact", action="store_true", help="prove all polynomials")
    arguments = parser.parse_args()
    print("owners groups weights mode       open   settle   together   bytes   at 64 a byte")
    for text in arguments.cases:
        owners, groups = map(int, text.split(":"))
        case = Case(owners, groups, arguments.weights, not arguments.exact)
        with Anvil(AnvilOptions()) as anvil:
            opened, settled, size = measure(connect(anvil.url), case)
        mode = "projected" if case.projected else "exact"
        later = max(settled, TRANSACTION_GAS + BYTE_GAS_LATER * size)
        print(
            f"{owners:6} {groups:6} {case.weights:7} {mode:9} {opened:7,} {settled:9,} {opened + settled:9,} {size:8,} {later:9,}",
            flush=True,
        )


def measure(connection: Connection, case: Case) -> tuple[int, int, int]:
    """Gas of opening and of settling, and the bytes of the settling call."""
    sender = sender_for(connection, dev_wallet(0, connection))
    deployment = deploy(sender)
    size = case.owners // case.groups
    polynomials = polynomials_for(case.weights)
    proven = 1 if case.projected else polynomials
    terms = Terms(
        verification=deployment.verification,
        reward_wei=1,
        stake_wei=100,
        bond_wei=1000,
        most_owners=case.owners,
        group_size=size,
        faulty_groups=min(4, (case.groups - 3) // 2),
        weights=case.weights,
        update_bits=10,
        projected=case.projected,
        clip_nano=10**9,
        norm_bound=2**60,
        rounds_per_epoch=100,
        answer_seconds=0 if polynomials > 512 else 86_400,
        prove_seconds=86_400,
    )
    market = create_market(sender, deployment, terms)
    owner = EthereumLedger(sender, market)
    wallets = [Wallet(Secret(keccak256(b"gas case" + word(i)))) for i in range(case.owners)]
    for i, wallet in enumerate(wallets):
        connection.request("anvil_setBalance", wallet.address, hex(10**18))
        EthereumLedger(sender_for(connection, wallet), market).join(MaskKey.from_private(keccak256(word(i))).public)
    owner.fund(10**6)
    owner.freeze()
    owner.draw()
    of_address = {wallet.address: wallet for wallet in wallets}
    signer = {member.seat: of_address[member.owner] for member in owner.members()}
    roster = [bits_of(owner.group_seats(group)) for group in range(case.groups)]

    for number in (1, 2):
        owner.anchor(keccak256(b"task" + word(number)))
        vectors, points = deliveries(roster, proven)
        state = owner.state()
        task = TaskId(connection.chain_id, market, state.epoch, state.round, state.task_hash)
        digests = {seat: keccak256(b"digest" + word(seat)) if case.projected else points_digest(points[seat]) for seat in points}
        everything = (1 << case.groups) - 1
        opened = owner.open(number, everything, roster_hash(everything, digests.values())).gas_used
        state = owner.state()
        signatures = tuple(
            sign_delivery(signer[seat], task, state.roster_hash, points_digest(points[seat]))
            if case.projected
            else sign_commitment(signer[seat], task, digests[seat], state.open_by)
            for seat in points
        )
        statement = Statement(task.settlement_context(state.epoch_seed), state.roster_hash, tuple(map(len, roster)), 0, proven)
        proof = prove(statement, vectors, [[points[seat] for seat in group] for group in roster])
        receipt = owner.settle(number, proof.settlement, signatures, 0, bytes(32))
    data = connection.request("eth_getTransactionByHash", receipt.transaction_hash)["input"]
    return opened, receipt.gas_used, len(data) // 2 - 1


def deliveries(roster: list[tuple[int, ...]], polynomials: int) -> tuple[list[FieldVector], dict[int, bytes]]:
    """Sum of each group, and the points of each seat in the order of the roster."""
    rng = np.random.default_rng(0)
    base = [pack(rng.integers(-5, 6, 2 * N)) for _ in range(polynomials)]
    commitments = [commit_polynomial(vector) for vector in base]
    sums, points = [], {}
    for position, group in enumerate(roster):
        total = 3 + position % 3
        factors = [secrets.randbelow(R) for _ in group[1:]]
        for seat, factor in zip(group, [(total - sum(factors)) % R, *factors], strict=True):
            points[seat] = b"".join(encode_point(scaled(point, factor)) for point in commitments)
        sums.append(
            FieldVector(np.concatenate([FieldVector.from_ints([total * v % R for v in vector.to_ints()]).limbs for vector in base]))
        )
    return sums, points


def scaled(point: G1Point, factor: int) -> G1Point:
    """A multiple of a point."""
    return point * Scalar(factor)


if __name__ == "__main__":
    main()
